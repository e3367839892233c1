//! Composes two components: the second one's exports become imports of the first one. Arguments: the files of the two,
//! and the file to write.

use std::path::Path;
use wac_graph::types::Package;
use wac_graph::{CompositionGraph, EncodeOptions};

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [reader, words, output] = &args[..] else { panic!("three files") };
    let mut graph = CompositionGraph::new();
    let mut package = |name: &str, file: &str| {
        let read = Package::from_file(name, None, Path::new(file), graph.types_mut()).unwrap();
        graph.register_package(read).unwrap()
    };
    let (socket, plug) = (package("test:reader", reader), package("test:provider", words));
    wac_graph::plug(&mut graph, vec![plug], socket).unwrap();
    std::fs::write(output, graph.encode(EncodeOptions::default()).unwrap()).unwrap();
}
