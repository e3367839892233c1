//! Whatever a guest gives its protocol, it alone is to blame. A fuzz target goes on from here.

#[path = "common/hostile.rs"]
mod hostile;

/// Numbers that are the same each time (xorshift, G. Marsaglia 2003).
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn bytes(&mut self) -> Vec<u8> {
        let len = self.next() % 200;
        (0..len).map(|_| self.next() as u8).collect()
    }
}

const HEADS: &[&str] = &[
    "Content-Type: a/b\n\nbody",
    "Status: 404 x\nX: \r\n\r\n",
    "Location: /local\n\n",
    "Location: http://a/\nStatus: 302\n\n",
    "{\"Ok\": {\"a\": [1, {}]}}\n",
    "log\n{\"error\": \"\\u0000\"}",
    "{\"text\": \"hello\", \"username\": 7, \"step_data\": null}",
    "text=a%20b+c&username=%ff&step_data=",
];

#[test]
fn hostile_bytes_blame_the_guest() {
    let hostile = hostile::Hostile::new();
    let mut numbers = Numbers(0x9e37_79b9_7f4a_7c15);
    for text in HEADS {
        hostile.all(text.as_bytes());
        for _ in 0..20 {
            let mut damaged = text.as_bytes().to_vec();
            let at = numbers.next() as usize % damaged.len();
            damaged[at] = numbers.next() as u8;
            hostile.all(&damaged);
        }
    }
    for _ in 0..200 {
        hostile.all(&numbers.bytes());
    }
}
