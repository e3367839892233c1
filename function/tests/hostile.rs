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

    /// Numbers of which some are addresses in a small memory.
    fn calls(&mut self) -> Vec<u8> {
        let mut bytes = self.bytes();
        for number in bytes.chunks_mut(4) {
            let wild = self.next();
            let bits = [8, 16, 20, 32][wild as usize % 4];
            let value = (wild >> 32) as u32 >> (32 - bits);
            number.copy_from_slice(&value.to_le_bytes()[..number.len()]);
        }
        bytes.insert(0, self.next() as u8);
        bytes
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
    let mut answers = Vec::new();
    for text in HEADS {
        answers.push(hostile.all(text.as_bytes()));
        for _ in 0..20 {
            let mut damaged = text.as_bytes().to_vec();
            let at = numbers.next() as usize % damaged.len();
            damaged[at] = numbers.next() as u8;
            answers.push(hostile.all(&damaged));
        }
    }
    for _ in 0..200 {
        answers.push(hostile.all(&numbers.bytes()));
        answers.push(hostile.all(&numbers.calls()));
    }
    // Guests that never answer would show nothing.
    let answered: Vec<usize> =
        (0..answers[0].len()).map(|guest| answers.iter().map(|of| of[guest]).sum()).collect();
    assert!(answered.iter().all(|answers| *answers > 0), "{answered:?}");
}
