//! A bill of materials in the form of CycloneDX 1.6.

use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};
use uuid::Builder;

use crate::domain::content::render_hex;
use crate::domain::licence::{CardLicence, spdx_id};
use crate::domain::repo::RepoType;
use crate::domain::sbom::{BillOfMaterials, ListedFile, ListedModel, percent_encoded};
use crate::domain::time::render_utc;

/// Returns the document. The serial number follows from everything else in it: the same
/// facts give the same bytes.
pub fn cyclonedx(bill: &BillOfMaterials) -> Value {
    let components = bill.models.iter();
    let components: Vec<Value> = components.map(|it| component(it, &bill.endpoint)).collect();
    let without = bill.without_commit.iter();
    let without = without.map(|name| property("hfdl:without-commit", name.as_str()));
    let mut metadata = json!({
        "timestamp": render_utc(bill.at),
        "tools": {"components": [
            {"type": "application", "name": "hfdl", "version": env!("CARGO_PKG_VERSION")}
        ]},
    });
    put_list(&mut metadata, "properties", without.collect());
    let aggregate = |model: &ListedModel| {
        let aggregate = match &model.files {
            None => "unknown",
            Some(_) if model.lacks_files => "incomplete",
            Some(_) => "complete",
        };
        json!({"aggregate": aggregate, "assemblies": [reference(model, &bill.endpoint)]})
    };
    let compositions: Vec<Value> = bill.models.iter().map(aggregate).collect();
    let body = json!({
        "version": 1,
        "metadata": metadata,
        "components": components,
        "compositions": compositions,
    });
    let digest: [u8; 32] = Sha256::digest(body.to_string()).into();
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&digest[..16]);
    let serial = Builder::from_custom_bytes(bytes).into_uuid();
    let mut document = json!({
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": format!("urn:uuid:{serial}"),
    });
    if let (Value::Object(document), Value::Object(body)) = (&mut document, body) {
        document.extend(body);
    }
    document
}

/// Several models may be of one commit: the reference has the name, too.
fn reference(model: &ListedModel, endpoint: &str) -> String {
    let name = percent_encoded(model.name.as_str());
    format!("{}#{name}", model.purl(endpoint))
}

fn component(model: &ListedModel, endpoint: &str) -> Value {
    let id = model.repo.id.as_str();
    let (group, name) = id.split_once('/').unwrap_or(("", id));
    let mut component = json!({
        "type": match model.repo.kind {
            RepoType::Model => "machine-learning-model",
            RepoType::Dataset => "data",
            RepoType::Space => "application",
            RepoType::Kernel => "library",
        },
        "bom-ref": reference(model, endpoint),
    });
    if !group.is_empty() {
        component["group"] = json!(group);
    }
    component["name"] = json!(name);
    component["version"] = json!(model.commit.as_str());
    let licences = model.licence.as_ref().map(licences).unwrap_or_default();
    put_list(&mut component, "licenses", licences);
    component["purl"] = json!(model.purl(endpoint));
    let page = format!(
        "{}/{}{id}/tree/{}",
        endpoint.trim_end_matches('/'),
        model.repo.kind.url_prefix(),
        model.commit
    );
    component["externalReferences"] = json!([{"type": "distribution", "url": page}]);
    let files = model.files.iter().flatten();
    let files = files.map(|file| file_component(file, &reference(model, endpoint)));
    put_list(&mut component, "components", files.collect());
    let mut properties = vec![
        property("hfdl:name", model.name.as_str()),
        property("hfdl:revision", model.revision.as_str()),
    ];
    let filter = &model.filter;
    let patterns = |name, patterns: &[String]| -> Vec<Value> {
        patterns.iter().map(|it| property(name, it)).collect()
    };
    properties.extend(patterns(
        "hfdl:include",
        filter.include.as_deref().unwrap_or_default(),
    ));
    properties.extend(patterns("hfdl:exclude", &filter.exclude));
    let unknown = model.unknown().into_iter();
    properties.extend(unknown.map(|fact| property("hfdl:unknown", fact)));
    put_list(&mut component, "properties", properties);
    component
}

fn file_component(file: &ListedFile, parent: &str) -> Value {
    let path = file.path.as_str();
    let mut component = json!({
        "type": "file",
        "bom-ref": format!("{parent}/{}", percent_encoded(path)),
        "name": path,
    });
    if let Some(sha256) = &file.sha256 {
        let content = render_hex(sha256);
        component["hashes"] = json!([{"alg": "SHA-256", "content": content}]);
    }
    if let Some(gitoid) = file.gitoid() {
        component["omniborId"] = json!([gitoid]);
    }
    component["properties"] = json!([property("hfdl:size", &file.size_bytes.to_string())]);
    component
}

fn licences(card: &CardLicence) -> Vec<Value> {
    let licence = |word: &String| {
        let mut licence = match (spdx_id(word), &card.name) {
            (Some(id), _) => json!({"id": id}),
            (None, Some(name)) if word == "other" => json!({"name": name}),
            (None, _) => json!({"name": word}),
        };
        licence["acknowledgement"] = json!("declared");
        let link = card.link.as_ref();
        if let Some(link) = link.filter(|link| spdx_id(word).is_none() && is_url(link)) {
            licence["url"] = json!(link);
        }
        json!({"license": licence})
    };
    card.words.iter().map(licence).collect()
}

/// A card may name a file of its repository instead.
fn is_url(link: &str) -> bool {
    let is_plain = |c: char| c.is_ascii_graphic() && !"<>\"{}|\\^`".contains(c);
    (link.starts_with("https://") || link.starts_with("http://")) && link.chars().all(is_plain)
}

fn property(name: &str, value: &str) -> Value {
    json!({"name": name, "value": value})
}

/// Sets a field unless its list is empty.
fn put_list(object: &mut Value, key: &str, list: Vec<Value>) {
    if let Some(object) = object.as_object_mut().filter(|_| !list.is_empty()) {
        let object: &mut Map<String, Value> = object;
        object.insert(key.to_owned(), Value::Array(list));
    }
}
