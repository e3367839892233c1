//! The list of what fails.

use std::collections::{BTreeMap, BTreeSet};

/// The list: scripts, or `script:line`, with the reason.
pub(crate) struct Expected {
    reasons: BTreeMap<String, String>,
    /// Those of the list that belong to a script there is.
    known: BTreeSet<String>,
}

/// What of one script fails.
#[derive(Default)]
pub(crate) struct Excuses {
    /// If any directive may: why.
    pub(crate) script: Option<String>,
    /// Otherwise the lines of those that do.
    pub(crate) lines: BTreeSet<usize>,
}

impl Expected {
    /// Reads the list.
    pub(crate) fn from_list(list: &str) -> Expected {
        let lines = list.lines().filter(|line| !line.starts_with('#') && !line.trim().is_empty());
        let reasons = lines.map(|line| {
            let (name, reason) = line.split_once(char::is_whitespace).expect("script and reason");
            (name.to_owned(), reason.trim().to_owned())
        });
        Expected { reasons: reasons.collect(), known: BTreeSet::new() }
    }

    /// What fails of the script of a test, whose name starts with a route's prefix. A line of the
    /// list without a prefix holds for all routes: what fails directly fails there too.
    pub(crate) fn of(&mut self, test: &str, prefix: &str) -> Excuses {
        let mut excuses = Excuses::default();
        let direct = test.strip_prefix(prefix).filter(|_| !prefix.is_empty());
        for script in [Some(test), direct].into_iter().flatten() {
            for (name, reason) in &self.reasons {
                let Some(rest) = name.strip_prefix(script) else { continue };
                match rest.strip_prefix(':').map(str::parse) {
                    None if rest.is_empty() => excuses.script = Some(reason.clone()),
                    Some(Ok(line)) => {
                        excuses.lines.insert(line);
                    }
                    _ => continue,
                }
                self.known.insert(name.clone());
            }
        }
        excuses
    }

    /// What of the list belongs to no script that was asked for.
    pub(crate) fn unknown(&self) -> Vec<&String> {
        self.reasons.keys().filter(|name| !self.known.contains(*name)).collect()
    }
}
