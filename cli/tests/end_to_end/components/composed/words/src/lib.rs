//! Counts words, for another component.

use std::cell::Cell;
use std::collections::BTreeMap;

wit_bindgen::generate!({ path: "../words.wit", world: "provider" });

use exports::test::words::index::{self, Entry, Form, Order, Problem};

struct Provider;

struct Words(BTreeMap<String, u32>);

thread_local! {
    static ALIVE: Cell<u32> = const { Cell::new(0) };
}

impl Words {
    fn of(counts: BTreeMap<String, u32>) -> Words {
        ALIVE.set(ALIVE.get() + 1);
        Words(counts)
    }
}

impl Drop for Words {
    fn drop(&mut self) {
        ALIVE.set(ALIVE.get() - 1);
    }
}

impl index::GuestWords for Words {
    fn new(text: String) -> Words {
        let mut counts = BTreeMap::new();
        for word in text.split_whitespace() {
            *counts.entry(word.to_owned()).or_default() += 1;
        }
        Words::of(counts)
    }

    fn entries(&self, order: Order) -> Vec<Entry> {
        let total: u32 = self.0.values().sum();
        let entry = |(word, count): (&String, &u32)| Entry {
            word: word.clone(),
            count: *count,
            share: (*count > 1).then(|| f64::from(*count) / f64::from(total)),
            first: word.chars().next().unwrap(),
            seen: (*count as u8, word.is_ascii(), -(*count as i16)),
        };
        let mut entries: Vec<Entry> = self.0.iter().map(entry).collect();
        match order {
            Order::ByWord => {}
            Order::ByCount => entries.sort_by_key(|entry| std::cmp::Reverse(entry.count)),
            Order::Only(words) => entries.retain(|entry| words.contains(&entry.word)),
        }
        entries
    }

    fn count(&self, word: String) -> Result<u32, Problem> {
        match (word.is_empty(), self.0.get(&word)) {
            (true, _) => Err(Problem::Empty),
            (false, Some(count)) => Ok(*count),
            (false, None) => Err(Problem::Unknown),
        }
    }

    fn forms(&self) -> Vec<Form> {
        let form = |word: &String| {
            let case = if *word == word.to_lowercase() { Form::LOWER } else { Form::empty() };
            case | if word.chars().count() > 3 { Form::LONG } else { Form::SHORT }
        };
        self.0.keys().map(form).collect()
    }

    fn merge(all: Vec<index::Words>) -> index::Words {
        let mut counts = BTreeMap::new();
        for words in &all {
            for (word, count) in &words.get::<Words>().0 {
                *counts.entry(word.clone()).or_default() += count;
            }
        }
        index::Words::new(Words::of(counts))
    }
}

impl index::Guest for Provider {
    type Words = Words;

    fn alive() -> u32 {
        ALIVE.get()
    }

    fn bytes(text: Vec<u8>) -> Vec<u64> {
        text.iter().map(|byte| u64::from(*byte) << 32).collect()
    }
}

export!(Provider);
