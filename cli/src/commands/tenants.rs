//! Tenants of a server, and what each may take of it.

use crate::failure::{Blame, Failure};
use anyhow::Context;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use wfaas_function::{ByteSize, TenantName};
use wfaas_gateway::{Config, TenantTerms};

/// Where tenants come from. Not from arguments: their tokens would be seen by everybody on the
/// machine.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Tenants")]
pub(super) struct Tenants {
    /// Read tenants from this file: a TOML table each, with `token`, `weight`, `requests`, `memory`
    #[arg(long = "tenants", value_name = "FILE")]
    file: Option<PathBuf>,
}

/// One table of the file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    token: Option<String>,
    weight: Option<u32>,
    requests: Option<u64>,
    memory: Option<ByteSize>,
}

impl Tenants {
    /// Reads the file, if there is one.
    ///
    /// # Errors
    /// A user's mistake if the file cannot be read, or is not as it has to be.
    pub(super) fn configure(&self, config: &mut Config) -> Result<(), Failure> {
        if let Some(path) = &self.file {
            config.tenants = read(path).user_error()?;
        }
        Ok(())
    }
}

fn read(path: &Path) -> anyhow::Result<Vec<TenantTerms>> {
    let text = std::fs::read_to_string(path);
    let text = text.with_context(|| format!("cannot read the tenants {}", path.display()))?;
    parse(&text).with_context(|| format!("{} does not describe tenants", path.display()))
}

fn parse(text: &str) -> Result<Vec<TenantTerms>, toml::de::Error> {
    let tables: BTreeMap<TenantName, Table> = toml::from_str(text)?;
    let terms = |(name, table): (TenantName, Table)| {
        let usual = TenantTerms::new(name);
        TenantTerms {
            token: table.token,
            weight: table.weight.unwrap_or(usual.weight),
            max_requests: table.requests,
            max_memory: table.memory.map(|ByteSize(bytes)| bytes),
            ..usual
        }
    };
    Ok(tables.into_iter().map(terms).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_a_tenant() {
        let text = "[acme]\ntoken = 'secret'\nweight = 200\nrequests = 64\nmemory = '1GiB'\n[b]\n";
        let name = |text: &str| text.parse::<TenantName>().unwrap();
        let acme = TenantTerms {
            token: Some("secret".into()),
            weight: 200,
            max_requests: Some(64),
            max_memory: Some(1 << 30),
            ..TenantTerms::new(name("acme"))
        };
        assert_eq!(parse(text).unwrap(), [acme, TenantTerms::new(name("b"))]);
        assert!(parse("").unwrap().is_empty());
    }

    #[test]
    fn mistakes_are_named() {
        for (text, word) in [
            ("[A]", "tenant's name"),
            ("[a]\nwieght = 1", "wieght"),
            ("[a]\nweight = -1", "weight"),
            ("[a]\nmemory = 'much'", "much"),
            ("a = 1", "invalid type"),
        ] {
            let error = parse(text).unwrap_err().to_string();
            assert!(error.contains(word), "{text}: {error}");
        }
    }
}
