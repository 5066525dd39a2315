//! The JSON that guards read: headers, indexes and configurations of models.

use std::collections::BTreeMap;
use std::fmt;
use std::io::Read;

use serde::Deserialize;
use serde::de::{DeserializeSeed, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::safetensors::Tensor;

/// Reads the JSON of a safetensors header. Only numbers are kept of each tensor.
pub(super) fn read_tensors(json: impl Read) -> Result<Vec<Tensor>, String> {
    #[derive(Deserialize)]
    struct Entry {
        dtype: String,
        #[serde(deserialize_with = "count")]
        shape: Option<u64>,
        data_offsets: (u64, u64),
    }
    struct Tensors;
    impl<'de> Visitor<'de> for Tensors {
        type Value = Vec<Tensor>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an object of tensors")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Vec<Tensor>, A::Error> {
            let mut tensors = Vec::new();
            while let Some(name) = map.next_key::<String>()? {
                if name == "__metadata__" {
                    map.next_value::<Texts>()?;
                    continue;
                }
                let entry: Entry = map.next_value()?;
                let (start, end) = entry.data_offsets;
                let tensor = Tensor::new(&entry.dtype, entry.shape, start, end);
                tensors.push(tensor.map_err(A::Error::custom)?);
            }
            Ok(tensors)
        }
    }
    let mut reader = serde_json::Deserializer::from_reader(json);
    let tensors = serde::Deserializer::deserialize_map(&mut reader, Tensors);
    // A writer may pad the header with spaces.
    let tensors = tensors.and_then(|tensors| reader.end().map(|()| tensors));
    tensors.map_err(|error| reason(&error))
}

/// Multiplies the numbers of a shape; `None` if the product is too large.
fn count<'de, D: serde::Deserializer<'de>>(shape: D) -> Result<Option<u64>, D::Error> {
    /// More dimensions than any library can load.
    const MAX_DIMENSIONS: usize = 64;
    struct Shape;
    impl<'de> Visitor<'de> for Shape {
        type Value = Option<u64>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a list of numbers")
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Option<u64>, A::Error> {
            let mut product = Some(1_u64);
            let mut n_dimensions = 0;
            while let Some(n) = list.next_element()? {
                product = product.and_then(|product| product.checked_mul(n));
                n_dimensions += 1;
                if n_dimensions > MAX_DIMENSIONS {
                    return Err(A::Error::custom("a tensor has too many dimensions"));
                }
            }
            Ok(product)
        }
    }
    shape.deserialize_seq(Shape)
}

/// An object of texts, none of which is kept.
struct Texts;

impl<'de> Deserialize<'de> for Texts {
    fn deserialize<D: serde::Deserializer<'de>>(value: D) -> Result<Self, D::Error> {
        struct OfTexts;
        impl<'de> Visitor<'de> for OfTexts {
            type Value = Texts;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of texts")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Texts, A::Error> {
                while map.next_entry::<IgnoredAny, String>()?.is_some() {}
                Ok(Texts)
            }

            fn visit_unit<E>(self) -> Result<Texts, E> {
                Ok(Texts)
            }
        }
        value.deserialize_any(OfTexts)
    }
}

/// Reads the names of the shards in an index, each once.
pub(super) fn read_shards(json: impl Read, most: usize) -> Result<Vec<String>, String> {
    struct Shards(usize);
    impl<'de> Visitor<'de> for Shards {
        type Value = Vec<String>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an object with the shard of each tensor")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Vec<String>, A::Error> {
            let mut shards: Vec<String> = Vec::new();
            while let Some((IgnoredAny, shard)) = map.next_entry::<IgnoredAny, String>()? {
                if let Err(at) = shards.binary_search(&shard) {
                    shards.insert(at, shard);
                }
                if shards.len() > self.0 {
                    return Err(A::Error::custom(format!("more than {} shards", self.0)));
                }
            }
            Ok(shards)
        }
    }
    impl<'de> DeserializeSeed<'de> for Shards {
        type Value = Vec<String>;

        fn deserialize<D: serde::Deserializer<'de>>(self, d: D) -> Result<Vec<String>, D::Error> {
            d.deserialize_map(self)
        }
    }
    struct Index(usize);
    impl<'de> Visitor<'de> for Index {
        type Value = Option<Vec<String>>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an index of shards")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            let mut found = None;
            while let Some(key) = map.next_key::<String>()? {
                if key == "weight_map" {
                    found = Some(map.next_value_seed(Shards(self.0))?);
                } else {
                    map.next_value::<IgnoredAny>()?;
                }
            }
            Ok(found)
        }
    }
    let mut reader = serde_json::Deserializer::from_reader(json);
    let shards = serde::Deserializer::deserialize_map(&mut reader, Index(most));
    let shards = shards.and_then(|shards| reader.end().map(|()| shards));
    let shards = shards.map_err(|error| reason(&error))?;
    shards.ok_or_else(|| "it has no `weight_map`".to_owned())
}

/// Reads the entries of `auto_map`: the class for each task, as text.
pub(super) fn read_auto_map(json: &[u8]) -> Result<BTreeMap<String, String>, String> {
    #[derive(Deserialize)]
    struct Config {
        auto_map: Option<serde_json::Value>,
    }
    let config: Config = serde_json::from_slice(json).map_err(|error| reason(&error))?;
    Ok(match config.auto_map {
        None | Some(serde_json::Value::Null) => BTreeMap::new(),
        Some(serde_json::Value::Object(map)) => {
            let entries = map.into_iter();
            entries
                .map(|(task, class)| match class {
                    serde_json::Value::String(class) => (task, class),
                    other => (task, other.to_string()),
                })
                .collect()
        }
        Some(other) => BTreeMap::from([(String::new(), other.to_string())]),
    })
}

/// Describes an error without repeating content.
fn reason(error: &serde_json::Error) -> String {
    use serde_json::error::Category;
    match error.classify() {
        Category::Eof => "its JSON ends too early".to_owned(),
        Category::Syntax => format!("it is not JSON (column {})", error.column()),
        Category::Io => error.to_string(),
        Category::Data => {
            let text: String = error.to_string().chars().take(120).collect();
            text.escape_debug().to_string()
        }
    }
}
