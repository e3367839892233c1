//! Calls every function of the interfaces of stores, and prints what it gets.

mod draft {
    wit_bindgen::generate!({ path: "draft", world: "all", generate_all });
}
mod draft2 {
    wit_bindgen::generate!({ path: "draft2", world: "all", generate_all });
}
mod spin {
    wit_bindgen::generate!({ path: "spin", world: "all", generate_all });
}

fn main() {
    first_draft();
    second_draft();
    limits();
    spins();
}

fn first_draft() {
    use draft::wasi::keyvalue::{atomics, batch, store};
    println!("{:?}", store::open("other").err());
    let bucket = store::open("default").unwrap();
    println!("{:?} {:?}", bucket.get("a"), bucket.exists("a"));
    bucket.set("a", b"one").unwrap();
    println!("{:?} {:?}", bucket.get("a"), bucket.exists("a"));
    println!("{:?}", atomics::increment(&bucket, "count", 3));
    println!("{:?}", atomics::increment(&bucket, "count", u64::MAX));
    println!("{:?}", atomics::increment(&bucket, "a", 1));
    let pairs = [("b".to_owned(), b"two".to_vec()), ("c".to_owned(), Vec::new())];
    batch::set_many(&bucket, &pairs).unwrap();
    println!("{:?}", batch::get_many(&bucket, &["b".to_owned(), "x".to_owned(), "c".to_owned()]));
    batch::delete_many(&bucket, &["a".to_owned(), "x".to_owned()]).unwrap();
    bucket.delete("b").unwrap();
    println!("{:?}", bucket.list_keys(None));
    println!("{:?}", bucket.list_keys(Some(7)));
    bucket.delete("count").unwrap();
    bucket.delete("c").unwrap();
    let many: Vec<_> = (0..1100).map(|key| (format!("{key:04}"), Vec::new())).collect();
    many.chunks(256).for_each(|pairs| batch::set_many(&bucket, pairs).unwrap());
    let first = bucket.list_keys(None).unwrap();
    let second = bucket.list_keys(first.cursor).unwrap();
    println!("{} {:?} {} {:?}", first.keys.len(), first.cursor, second.keys.len(), second.cursor);
    println!("{:?}", second.keys.last());
}

fn second_draft() {
    use draft2::wasi::keyvalue::{atomics, batch, store};
    let bucket = store::open("default").unwrap();
    let first = bucket.list_keys(None).unwrap();
    let second = bucket.list_keys(first.cursor.as_deref()).unwrap();
    println!("{} {:?} {} {:?}", first.keys.len(), first.cursor, second.keys.len(), second.cursor);
    let keys: Vec<String> = first.keys.into_iter().chain(second.keys).collect();
    keys.chunks(256).for_each(|keys| batch::delete_many(&bucket, keys).unwrap());
    println!("{:?}", bucket.list_keys(None));
    println!("{:?}", atomics::increment(&bucket, "n", -5));
    let (mine, theirs) = (atomics::Cas::new(&bucket, "n"), atomics::Cas::new(&bucket, "n"));
    let (mine, theirs) = (mine.unwrap(), theirs.unwrap());
    println!("{:?} {:?}", mine.current(), theirs.current());
    println!("{}", atomics::swap(theirs, b"theirs").is_ok());
    match atomics::swap(mine, b"mine") {
        Err(atomics::CasError::CasFailed(again)) => {
            println!("failed: {:?}", again.current());
            println!("{}", atomics::swap(again, b"mine").is_ok());
        }
        other => println!("{}", other.is_ok()),
    }
    let keys = ["n".to_owned(), "x".to_owned()];
    println!("{:?}", batch::get_many(&bucket, &keys));
}

fn limits() {
    use draft2::wasi::keyvalue::{batch, store};
    let bucket = store::open("default").unwrap();
    println!("{:?}", bucket.set("", b""));
    println!("{:?}", bucket.get(&"k".repeat(1025)));
    println!("{:?}", bucket.set("large", &vec![1; 1 << 20]));
    let value = vec![7; (1 << 20) - 5];
    println!("{:?}", bucket.set("large", &value));
    println!("{:?}", bucket.get("large").map(|read| read == Some(value)));
    let keys: Vec<String> = (0..257).map(|key| key.to_string()).collect();
    println!("{:?}", batch::get_many(&bucket, &keys));
    bucket.delete("large").unwrap();
}

fn spins() {
    use spin::fermyon::spin::{key_value::Store, variables};
    println!("{:?}", Store::open("other").err());
    let store = Store::open("default").unwrap();
    println!("{:?} {:?} {:?}", store.get("n"), store.exists("n"), store.exists("x"));
    store.set("m", b"").unwrap();
    println!("{:?}", store.get_keys());
    store.delete("m").unwrap();
    println!("{:?}", store.get_keys());
    println!("{:?} {:?}", variables::get("greeting"), variables::get("nothing"));
}
