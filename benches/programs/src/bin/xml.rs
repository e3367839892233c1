//! quick-xml: reads a document with attributes and entities, and writes it again.

use programs::{Words, checksum, measure, mix};
use quick_xml::events::Event;
use quick_xml::{Reader, Writer};

fn document() -> String {
    let mut words = Words::new(18, 2000);
    let mut text = String::from("<?xml version=\"1.0\"?><list>");
    for id in 0..3000 {
        let (name, line) = (words.next_word().to_owned(), words.text(50));
        text += &format!("<item id=\"{id}\" name=\"{name}\"><!-- {name} --><p>{line} &amp; {id}</p></item>\n");
    }
    text + "</list>"
}

fn main() {
    let text = document();
    measure(|| {
        let mut reader = Reader::from_str(&text);
        let mut writer = Writer::new(Vec::new());
        let mut sum = 0;
        loop {
            let event = reader.read_event().expect("XML");
            match &event {
                Event::Eof => return mix(sum, checksum(&writer.into_inner())),
                Event::Start(start) => {
                    for attribute in start.attributes() {
                        sum = mix(sum, checksum(&attribute.expect("an attribute").value));
                    }
                }
                _ => {}
            }
            writer.write_event(event).expect("a vector");
        }
    });
}
