//! Tags: the defaults of the models that have them.
//!
//! A tag is a word that models share; the entity holds the rules about updates that its
//! models follow where they have none of their own. A tag in use needs no entry here.

use super::field::{Entity, Field, FieldValue, Read};
use super::model::Tag;
use super::policy::{
    HasRules, PolicyChoice, UpdateRules, delay_field, follow_tags_field, guards_field, policy_field,
};

/// A tag with its defaults.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TagSpec {
    pub name: Tag,
    pub update: UpdateRules,
}

impl TagSpec {
    pub fn new(name: Tag) -> Self {
        Self {
            name,
            update: UpdateRules::default(),
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

    fn check_policy(choice: &PolicyChoice) -> Result<(), String> {
        match &choice.commit {
            Some(_) => Err("a commit belongs to one repository; write `pin` for a tag".to_owned()),
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
    ];

    fn with_defaults(&self) -> Self {
        Self::new(self.name.clone())
    }
}
