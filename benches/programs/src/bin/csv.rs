//! csv: reads records, sums columns, and writes some of the records.

use csv::{ByteRecord, Reader, Writer};
use programs::{Words, checksum, measure, mix};

fn table() -> String {
    let mut words = Words::new(12, 2000);
    let mut text = String::from("id,name,city,price,note\n");
    for id in 0..6000 {
        let (name, city) = (words.next_word().to_owned(), words.next_word().to_owned());
        let price = words.below(100_000);
        let note = words.text(30);
        let note = note.trim_end();
        text += &format!("{id},{name},\"{city}, \"\"{name}\"\"\",{price},\"{note}\"\n");
    }
    text
}

fn main() {
    let text = table();
    measure(|| {
        let mut reader = Reader::from_reader(text.as_bytes());
        let mut writer = Writer::from_writer(Vec::new());
        let mut record = ByteRecord::new();
        let mut total = 0u64;
        while reader.read_byte_record(&mut record).expect("CSV") {
            let price: u64 = std::str::from_utf8(&record[3]).unwrap().parse().unwrap();
            total += price;
            if price % 3 == 0 {
                writer.write_byte_record(&record).expect("a vector");
            }
        }
        mix(total, checksum(&writer.into_inner().expect("a vector")))
    });
}
