//! Layers: structures that are read field by field, and laid over one another.
//!
//! [`layer!`] declares a structure once: its fields, the keys under which each is read, and with
//! them how two layers are merged. A structure with more keys of its own (a `faas.toml` says how to
//! build a function too) passes to [`Fields::read`] what it does not know itself, so that messages
//! point to the line of a mistake.

use crate::stores::{StoreGrant, StoreName};
use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, Visitor};
use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;
use wfaas_wasi::Environment;

/// A structure that can be read key by key.
pub trait Fields: Default {
    /// The keys.
    const KEYS: &[&str];

    /// Reads the value of `key`, one of [`Fields::KEYS`], into its field.
    ///
    /// # Errors
    /// With the name of the field.
    fn read<'de, A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Result<(), A::Error>;
}

/// A value that may lie over another one.
pub(super) trait Layer {
    /// This one, and where it leaves something open, the one below.
    fn over(self, below: Self) -> Self;
}

impl<T> Layer for Option<T> {
    fn over(self, below: Self) -> Self {
        self.or(below)
    }
}

impl<T> Layer for Vec<T> {
    fn over(self, below: Self) -> Self {
        if self.is_empty() { below } else { self }
    }
}

impl<K: Ord, V> Layer for BTreeMap<K, V> {
    fn over(self, mut below: Self) -> Self {
        below.extend(self);
        below
    }
}

/// Reads a key that is one of `known`, each at most once.
#[derive(Debug)]
pub struct Key<'a> {
    /// How messages name the structure: nothing, or as in `limits.`.
    pub prefix: &'static str,
    /// The keys there may be.
    pub known: &'static [&'static str],
    /// Those that have been read.
    pub seen: &'a mut Vec<&'static str>,
}

impl<'de> DeserializeSeed<'de> for Key<'_> {
    type Value = &'static str;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<&'static str, D::Error> {
        let text = String::deserialize(from)?;
        let Some(key) = self.known.iter().find(|known| **known == text) else {
            let error = D::Error::unknown_field(&text, self.known);
            return Err(if self.prefix.is_empty() {
                error
            } else {
                named(&format!("{}{text}", self.prefix), error)
            });
        };
        if self.seen.contains(key) {
            return Err(D::Error::duplicate_field(key));
        }
        self.seen.push(key);
        Ok(key)
    }
}

/// Reads a value; its errors begin with the name of the field.
pub(super) struct Named<'a, T>(&'a str, PhantomData<T>);

impl<'a, T> Named<'a, T> {
    pub(super) fn new(field: &'a str) -> Self {
        Named(field, PhantomData)
    }
}

impl<'de, T: Deserialize<'de>> DeserializeSeed<'de> for Named<'_, T> {
    type Value = T;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<T, D::Error> {
        T::deserialize(from).map_err(|error| named(self.0, error))
    }
}

/// An error with the name of a field before it. One that names the field or a part of it stays as it
/// is, and with it its place in the document.
fn named<E: Error>(field: &str, error: E) -> E {
    let text = error.to_string();
    if text.strip_prefix(field).is_some_and(|rest| rest.starts_with(['.', ':'])) {
        return error;
    }
    // Further lines say where, which the format itself adds to the new error.
    E::custom(format_args!("{field}: {}", text.lines().next().unwrap_or_default()))
}

/// Environment variables: a table of strings, no name twice.
pub(super) struct Variables(BTreeMap<String, String>);

impl From<Variables> for BTreeMap<String, String> {
    fn from(Variables(variables): Variables) -> Self {
        variables
    }
}

impl<'de> Deserialize<'de> for Variables {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Reader;
        impl<'de> Visitor<'de> for Reader {
            type Value = Variables;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a table of strings")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Variables, A::Error> {
                let mut variables = BTreeMap::new();
                while let Some(name) = map.next_key_seed(NewVariable(&variables))? {
                    let value = map.next_value_seed(VariableOf(&name))?;
                    variables.insert(name, value);
                }
                Ok(Variables(variables))
            }
        }
        from.deserialize_map(Reader)
    }
}

/// Reads the name of a variable that is not one of these.
struct NewVariable<'a>(&'a BTreeMap<String, String>);

impl<'de> DeserializeSeed<'de> for NewVariable<'_> {
    type Value = String;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<String, D::Error> {
        let name = String::deserialize(from)?;
        Environment::check_variable(&name, "").map_err(D::Error::custom)?;
        if self.0.contains_key(&name) {
            return Err(D::Error::custom(format_args!("env: {name:?} is there twice")));
        }
        Ok(name)
    }
}

/// Reads the value of the variable of this name.
struct VariableOf<'a>(&'a str);

impl<'de> DeserializeSeed<'de> for VariableOf<'_> {
    type Value = String;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<String, D::Error> {
        let value = Named::<String>::new(&format!("env.{}", self.0)).deserialize(from)?;
        Environment::check_variable(self.0, &value).map_err(D::Error::custom)?;
        Ok(value)
    }
}

/// Stores: a table of grants by name.
pub(super) struct Grants(BTreeMap<StoreName, StoreGrant>);

impl From<Grants> for BTreeMap<StoreName, StoreGrant> {
    fn from(Grants(grants): Grants) -> Self {
        grants
    }
}

impl<'de> Deserialize<'de> for Grants {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Reader;
        impl<'de> Visitor<'de> for Reader {
            type Value = Grants;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a table of stores, as `default = {}`")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Grants, A::Error> {
                let mut grants = BTreeMap::new();
                while let Some(name) = map.next_key_seed(Named::<StoreName>::new("stores"))? {
                    let field = format!("stores.{}", String::from(name.clone()));
                    let grant = map.next_value_seed(Named::<StoreGrant>::new(&field))?;
                    if grants.insert(name, grant).is_some() {
                        return Err(A::Error::custom(format_args!("{field}: it is there twice")));
                    }
                }
                Ok(Grants(grants))
            }
        }
        from.deserialize_map(Reader)
    }
}

/// Declares a structure of layers: the name for messages, what messages have before a key, and of
/// each field the type, and the keys it is read under, each with the type that is read there.
macro_rules! layer {
    (
        $(#[$meta:meta])*
        pub struct $name:ident, $expecting:literal in $prefix:literal {
            $(
                $(#[$field_meta:meta])*
                pub $field:ident: $ty:ty { $($key:literal => $wire:ty),* },
            )*
        }
    ) => {
        $(#[$meta])*
        pub struct $name {
            $($(#[$field_meta])* pub $field: $ty,)*
        }

        impl $name {
            /// This layer over another: what it leaves open is as there.
            pub fn over(self, below: $name) -> $name {
                $name { $($field: $crate::spec::layer::Layer::over(self.$field, below.$field),)* }
            }
        }

        impl $crate::spec::layer::Layer for $name {
            fn over(self, below: Self) -> Self {
                $name::over(self, below)
            }
        }

        impl $crate::spec::layer::Fields for $name {
            const KEYS: &[&str] = &[$($($key),*),*];

            fn read<'de, A: serde::de::MapAccess<'de>>(
                &mut self,
                key: &str,
                map: &mut A,
            ) -> Result<(), A::Error> {
                match key {
                    $($($key => {
                        let field = concat!($prefix, $key);
                        let seed = $crate::spec::layer::Named::<$wire>::new(field);
                        self.$field = map.next_value_seed(seed)?.into();
                    })*)*
                    _ => unreachable!("only keys of the list are read"),
                }
                Ok(())
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                $crate::spec::layer::read_all(from, $expecting, $prefix)
            }
        }
    };
}
pub(super) use layer;

/// Reads a structure with nothing but its own keys.
pub(super) fn read_all<'de, T: Fields, D: Deserializer<'de>>(
    from: D,
    expecting: &'static str,
    prefix: &'static str,
) -> Result<T, D::Error> {
    struct Reader<T> {
        expecting: &'static str,
        prefix: &'static str,
        read: T,
    }
    impl<'de, T: Fields> Visitor<'de> for Reader<T> {
        type Value = T;
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str(self.expecting)
        }
        fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<T, A::Error> {
            let (prefix, known, mut seen) = (self.prefix, T::KEYS, Vec::new());
            while let Some(key) = map.next_key_seed(Key { prefix, known, seen: &mut seen })? {
                self.read.read(key, &mut map)?;
            }
            Ok(self.read)
        }
    }
    from.deserialize_map(Reader { expecting, prefix, read: T::default() })
}
