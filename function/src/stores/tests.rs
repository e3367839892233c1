//! Limits and names of stores.

use super::*;

fn space(tenant: &str, function: &str, name: &str, shared: bool) -> String {
    let tenant = tenant.parse().unwrap();
    let name = StoreName::try_from(name.to_owned()).unwrap();
    Space::new(&tenant, function, &name, StoreGrant { shared }).to_string()
}

#[test]
fn stores_of_others_are_other_spaces() {
    assert_eq!(space("a", "f", "default", false), "a/f/default");
    assert_eq!(space("a", "f", "default", true), "a//default");
    assert_eq!(space("a", "g", "default", true), "a//default");
    for bad in ["", "a/b", "ä", &"x".repeat(64)] {
        assert!(StoreName::try_from(bad.to_owned()).is_err(), "{bad}");
    }
}

#[test]
fn operations_beyond_the_limits_are_refused() {
    let long = "k".repeat(MAX_KEY + 1);
    let bytes = |len: usize| vec![0; len];
    let many = |count: usize| (0..count).map(|key| key.to_string()).collect::<Vec<_>>();
    for (operation, expected) in [
        (Operation::get(""), StoreError::Key),
        (Operation::get(long.clone()), StoreError::Key),
        (Operation::Exists(long.clone()), StoreError::Key),
        (Operation::List { after: Some(long.clone()), most: 1 }, StoreError::Key),
        (Operation::Increment { key: String::new(), by: 1 }, StoreError::Key),
        (Operation::Get(many(MAX_KEYS + 1)), StoreError::TooManyKeys(MAX_KEYS + 1)),
        (Operation::set("k", bytes(MAX_OPERATION)), StoreError::TooLarge),
        (
            Operation::Swap { key: "k".into(), expected: None, value: bytes(MAX_OPERATION) },
            StoreError::TooLarge,
        ),
    ] {
        assert_eq!(operation.checked(), Err(expected));
    }
    for operation in [
        Operation::get("k".repeat(MAX_KEY)),
        Operation::Get(many(MAX_KEYS)),
        Operation::set("k", bytes(MAX_OPERATION - 1)),
        Operation::set("k", Vec::new()),
    ] {
        assert_eq!(operation.clone().checked(), Ok(operation));
    }
}

#[test]
fn keys_of_an_operation_are_there_once() {
    let keys = ["b", "a", "b"].map(str::to_owned).to_vec();
    let expected = ["a", "b"].map(str::to_owned).to_vec();
    assert_eq!(Operation::Delete(keys).checked(), Ok(Operation::Delete(expected)));
}

#[test]
fn a_function_opens_the_stores_of_its_specification() {
    assert!(Stores::new(None, &Spec::default()).is_empty());
    let spec = Spec::from_json(r#"{"stores": {"default": {}, "all": {"shared": true}}}"#).unwrap();
    let stores = Stores::new(None, &spec);
    assert!(stores.open("other").is_none());
    let store = stores.open("default").unwrap();
    assert_eq!(store.space.to_string(), "default/function/default");
    assert_eq!(stores.open("all").unwrap().space.to_string(), "default//all");
    assert_eq!(store.begin(Operation::get("k")).err(), Some(StoreError::NoBackend));
}
