//! Tags: the defaults of the models that have them.
//!
//! A tag is a word that models share; the entity holds the rules about updates that its
//! models follow where they have none of their own, and allowances of bytes for all of them
//! together. A tag in use needs no entry here.

use super::allowance::parse_limit;
use super::field::{Entity, Field, FieldValue, Read};
use super::model::Tag;
use super::policy::{
    HasRules, PolicyChoice, UpdateRules, delay_field, follow_tags_field, guards_field, policy_field,
};
use super::units::ByteSize;
use crate::domain::invalid_value::InvalidValue;

/// A tag with its defaults.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TagSpec {
    pub name: Tag,
    pub update: UpdateRules,
    /// Bytes that all runs of a day may fetch for the models of the tag together.
    pub limit_daily: Option<ByteSize>,
    pub limit_monthly: Option<ByteSize>,
}

impl TagSpec {
    pub fn new(name: Tag) -> Self {
        Self {
            name,
            update: UpdateRules::default(),
            limit_daily: None,
            limit_monthly: None,
        }
    }
}

impl HasRules for TagSpec {
    fn rules(&self) -> &UpdateRules {
        &self.update
    }

    fn rules_mut(&mut self) -> &mut UpdateRules {
        &mut self.update
    }

    fn check_policy(choice: &PolicyChoice) -> Result<(), InvalidValue> {
        match &choice.commit {
            Some(_) => Err(InvalidValue::new("a commit belongs to one repository")
                .next("write `pin` for a tag")),
            None => Ok(()),
        }
    }
}

impl Entity for TagSpec {
    const FIELDS: &'static [Field<Self>] = &[
        Field::new(
            "name",
            |tag: &Self| FieldValue::text(&tag.name),
            Read::Before,
        )
        .json(None)
        .essential(),
        policy_field(),
        delay_field(),
        follow_tags_field(),
        guards_field(),
        Field::new(
            "limit_daily",
            |tag: &Self| FieldValue::optional(tag.limit_daily),
            Read::Number(|tag: &mut Self, text| {
                tag.limit_daily = parse_limit(text)?;
                Ok(())
            }),
        )
        .absent("off")
        .flag(
            "limit-daily",
            "SIZE",
            "Fetch at most this many bytes a day for all models of the tag",
        )
        .no("Remove the daily limit"),
        Field::new(
            "limit_monthly",
            |tag: &Self| FieldValue::optional(tag.limit_monthly),
            Read::Number(|tag: &mut Self, text| {
                tag.limit_monthly = parse_limit(text)?;
                Ok(())
            }),
        )
        .absent("off")
        .flag(
            "limit-monthly",
            "SIZE",
            "Fetch at most this many bytes a month for all models of the tag",
        )
        .no("Remove the monthly limit"),
    ];

    fn with_defaults(&self) -> Self {
        Self::new(self.name.clone())
    }
}
