//! Operations in a transaction. An `Err` of redb ends the transaction; an operation that is refused has changed
//! nothing.

use crate::Done;
use redb::{ReadTransaction, ReadableTable, Table, TableDefinition, TableError, WriteTransaction};
use std::ops::Bound;
use wfaas_function::stores::{
    ENTRY_BYTES, MAX_OPERATION, Operation, Outcome, Page, Space, StoreError,
};

/// Bytes of the stores of each tenant.
const BYTES: TableDefinition<'_, &str, u64> = TableDefinition::new("bytes");

/// The name of a store's table.
fn table_name(space: &Space) -> String {
    format!("values/{space}")
}

/// Does an operation that only reads.
pub(super) fn read(
    transaction: &ReadTransaction,
    space: &Space,
    operation: &Operation,
) -> Result<Done, redb::Error> {
    let name = table_name(space);
    match transaction.open_table(TableDefinition::<&str, &[u8]>::new(&name)) {
        Ok(table) => look(&table, operation),
        Err(TableError::TableDoesNotExist(_)) => Ok(Ok(match operation {
            Operation::Get(keys) => Outcome::Values(vec![None; keys.len()]),
            Operation::Exists(_) => Outcome::Exists(false),
            _ => Outcome::Keys(Page::default()),
        })),
        Err(error) => Err(error.into()),
    }
}

fn look(
    table: &impl ReadableTable<&'static str, &'static [u8]>,
    operation: &Operation,
) -> Result<Done, redb::Error> {
    match operation {
        Operation::Get(keys) => get(table, keys),
        Operation::Exists(key) => Ok(Ok(Outcome::Exists(table.get(key.as_str())?.is_some()))),
        Operation::List { after, most } => list(table, after.as_deref(), *most),
        _ => Ok(Err(StoreError::Unavailable)), // no operation that reads
    }
}

fn get(
    table: &impl ReadableTable<&'static str, &'static [u8]>,
    keys: &[String],
) -> Result<Done, redb::Error> {
    let (mut values, mut bytes) = (Vec::with_capacity(keys.len()), 0);
    for key in keys {
        let value = table.get(key.as_str())?;
        bytes += key.len() + value.as_ref().map_or(0, |value| value.value().len());
        if bytes > MAX_OPERATION {
            return Ok(Err(StoreError::TooLarge));
        }
        values.push(value.map(|value| value.value().to_vec()));
    }
    Ok(Ok(Outcome::Values(values)))
}

fn list(
    table: &impl ReadableTable<&'static str, &'static [u8]>,
    after: Option<&str>,
    most: usize,
) -> Result<Done, redb::Error> {
    let from = after.map_or(Bound::Unbounded, Bound::Excluded);
    let mut page = Page::default();
    for entry in table.range::<&str>((from, Bound::Unbounded))? {
        if page.keys.len() == most {
            page.more = true;
            break;
        }
        let (key, _) = entry?;
        page.keys.push(key.value().to_owned());
    }
    Ok(Ok(Outcome::Keys(page)))
}

/// Does an operation that writes.
pub(super) fn apply(
    transaction: &WriteTransaction,
    space: &Space,
    operation: &Operation,
    tenant_bytes: u64,
) -> Result<Done, redb::Error> {
    let name = table_name(space);
    let values = transaction.open_table(TableDefinition::new(&name))?;
    let mut writer = Writer { values, bytes: transaction.open_table(BYTES)?, space, tenant_bytes };
    match operation {
        Operation::Set(pairs) => {
            let pairs = pairs.iter().map(|(key, value)| (key.as_str(), value.as_slice()));
            writer.set(&pairs.collect::<Vec<_>>(), Outcome::Done)
        }
        Operation::Delete(keys) => writer.delete(keys),
        Operation::Increment { key, by } => writer.increment(key, *by),
        Operation::Swap { key, expected, value } => writer.swap(key, expected.as_deref(), value),
        operation => look(&writer.values, operation),
    }
}

struct Writer<'a> {
    values: Table<'a, &'static str, &'static [u8]>,
    bytes: Table<'a, &'static str, u64>,
    space: &'a Space,
    tenant_bytes: u64,
}

/// Bytes that an entry counts.
fn entry_bytes(key: &str, value: usize) -> u64 {
    (ENTRY_BYTES + key.len() + value) as u64
}

impl Writer<'_> {
    /// Bytes that the entry of a key counts now.
    fn present(&self, key: &str) -> Result<u64, redb::Error> {
        let value = self.values.get(key)?;
        Ok(value.map_or(0, |value| entry_bytes(key, value.value().len())))
    }

    fn used(&self) -> Result<u64, redb::Error> {
        Ok(self.bytes.get(self.space.tenant())?.map_or(0, |bytes| bytes.value()))
    }

    /// Sets values, if there is room for all of them.
    fn set(&mut self, pairs: &[(&str, &[u8])], outcome: Outcome) -> Result<Done, redb::Error> {
        let (mut before, mut after) = (0, 0);
        for (key, value) in pairs {
            before += self.present(key)?;
            after += entry_bytes(key, value.len());
        }
        let used = self.used()?.saturating_sub(before).saturating_add(after);
        if used > self.tenant_bytes && after > before {
            return Ok(Err(StoreError::Full(self.tenant_bytes)));
        }
        for (key, value) in pairs {
            self.values.insert(key, value)?;
        }
        self.bytes.insert(self.space.tenant(), used)?;
        Ok(Ok(outcome))
    }

    fn delete(&mut self, keys: &[String]) -> Result<Done, redb::Error> {
        let mut freed = 0;
        for key in keys {
            let value = self.values.remove(key.as_str())?;
            freed += value.map_or(0, |value| entry_bytes(key, value.value().len()));
        }
        let used = self.used()?.saturating_sub(freed);
        self.bytes.insert(self.space.tenant(), used)?;
        Ok(Ok(Outcome::Done))
    }

    fn increment(&mut self, key: &str, by: i64) -> Result<Done, redb::Error> {
        let present = match self.values.get(key)? {
            Some(value) => number(value.value()),
            None => Some(0),
        };
        let Some(sum) = present.and_then(|present| present.checked_add(by)) else {
            return Ok(Err(StoreError::NoNumber));
        };
        self.set(&[(key, sum.to_string().as_bytes())], Outcome::Number(sum))
    }

    fn swap(
        &mut self,
        key: &str,
        expected: Option<&[u8]>,
        value: &[u8],
    ) -> Result<Done, redb::Error> {
        if self.values.get(key)?.as_ref().map(|value| value.value()) != expected {
            return Ok(Ok(Outcome::Swapped(false)));
        }
        self.set(&[(key, value)], Outcome::Swapped(true))
    }
}

/// A decimal number as it is written: no other has its bytes.
fn number(bytes: &[u8]) -> Option<i64> {
    let text = std::str::from_utf8(bytes).ok()?;
    text.parse().ok().filter(|number: &i64| number.to_string() == text)
}
