//! `hfdl schema`

use anyhow::Result;
use clap::Args;
use serde_json::{Value, json};

use super::context::Context;
use super::explain::Complaint;
use crate::domain::outcome::ExitStatus;
use crate::json::{self, document, schema, schema_names};
use crate::ui::table::{self, Column};
use crate::ui::{Format, yaml};

/// Print the JSON Schema of a document
///
/// Every document of `--json`, of hooks, of the gate and of the status file begins with the name of
/// its schema, such as `hfdl.run/1`. Without a name this lists all schemas. Documents may get more
/// fields; a field is never renamed or dropped without a new number. Fields marked `deprecated` are
/// older names that will go with the next number.
#[derive(Debug, Args)]
#[command(after_long_help = "Examples:
  hfdl schema
  hfdl schema run > run.schema.json
  hfdl schema hfdl.status/1")]
pub struct SchemaCommand {
    /// The schema, as `run` or `hfdl.run/1`
    name: Option<String>,
}

impl SchemaCommand {
    pub fn run(self, context: &Context) -> Result<ExitStatus> {
        match &self.name {
            Some(name) => print(context, name)?,
            None => list(context)?,
        }
        Ok(ExitStatus::Ok)
    }
}

fn print(context: &Context, name: &str) -> Result<()> {
    let short = name.strip_prefix("hfdl.").unwrap_or(name);
    let short = short.strip_suffix("/1").unwrap_or(short);
    let Some(schema) = schema(short) else {
        let known: Vec<&str> = schema_names().collect();
        return Err(Complaint::unknown("schema", short, &known, "hfdl schema").into());
    };
    context.out.print(&match context.out.format {
        Format::Yaml => yaml::render(&schema)?,
        Format::Table | Format::Json | Format::Markdown | Format::Html => json::render(&schema),
    })
}

fn list(context: &Context) -> Result<()> {
    let schemas = schema_names().filter_map(|name| Some((name, schema(name)?)));
    let schemas: Vec<(&str, Value)> = schemas.collect();
    context.out.result(
        |out| {
            let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
            let rows = schemas
                .iter()
                .map(|(name, schema)| vec![(*name).to_owned(), text(&schema["description"])]);
            let columns = [Column::kept("NAME"), Column::sentence("DESCRIPTION")];
            table::render(out, &columns, rows.collect())
        },
        || {
            let entries = schemas.iter().map(|(name, schema)| {
                json!({"name": name, "title": schema["title"], "description": schema["description"]})
            });
            document("hfdl.schemas/1", json!({ "schemas": entries.collect::<Vec<Value>>() }))
        },
    )
}
