//! JSON objects with few fields: each takes far more memory than its text.

use serde::de::{Error, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;

/// Most fields of an activation's context, or variables of an action.
const MOST_FIELDS: usize = 1024;

/// The fields of an object with at most [`MOST_FIELDS`].
pub(super) struct Few<V>(pub(super) BTreeMap<String, V>);

impl<V> Default for Few<V> {
    fn default() -> Few<V> {
        Few(BTreeMap::new())
    }
}

impl<'de, V: Deserialize<'de>> Deserialize<'de> for Few<V> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Few<V>, D::Error> {
        from.deserialize_map(Reader(PhantomData))
    }
}

struct Reader<V>(PhantomData<V>);

impl<'de, V: Deserialize<'de>> Visitor<'de> for Reader<V> {
    type Value = Few<V>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "an object of at most {MOST_FIELDS} fields")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Few<V>, A::Error> {
        let mut fields = BTreeMap::new();
        while let Some((name, value)) = map.next_entry()? {
            if fields.len() == MOST_FIELDS {
                return Err(A::Error::invalid_length(MOST_FIELDS + 1, &self));
            }
            fields.insert(name, value);
        }
        Ok(Few(fields))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_beyond_some_are_refused() {
        let object = |count: usize| {
            let fields: Vec<String> = (0..count).map(|number| format!("\"a{number}\":1")).collect();
            format!("{{{}}}", fields.join(","))
        };
        let read = |text: String| serde_json::from_str::<Few<u8>>(&text);
        assert_eq!(read(object(MOST_FIELDS)).map(|few| few.0.len()).unwrap(), MOST_FIELDS);
        let error = read(object(MOST_FIELDS + 1)).err().unwrap().to_string();
        assert!(error.contains("at most 1024 fields"), "{error}");
    }
}
