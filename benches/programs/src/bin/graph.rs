//! petgraph: shortest paths, spanning trees and components.

use petgraph::algo::{dijkstra, kosaraju_scc, min_spanning_tree};
use petgraph::data::FromElements;
use petgraph::graph::{DiGraph, NodeIndex, UnGraph};
use programs::{Random, measure, mix};

const NODES: u32 = 1500;

fn main() {
    let mut random = Random::new(26);
    let mut edge = || {
        let (from, to) = (random.below(NODES.into()) as u32, random.below(NODES.into()) as u32);
        (from, to, 1 + random.below(1000) as u32)
    };
    let edges: Vec<(u32, u32, u32)> = (0..6000).map(|_| edge()).collect();
    let directed = DiGraph::<(), u32>::from_edges(&edges);
    let undirected = UnGraph::<(), u32>::from_edges(&edges);
    measure(|| {
        let mut sum = 0;
        for start in 0..3 {
            let costs = dijkstra(&directed, NodeIndex::new(start), None, |edge| *edge.weight());
            let total: u64 = costs.values().map(|cost| u64::from(*cost)).sum();
            sum = mix(sum, total);
        }
        let tree = UnGraph::<(), u32>::from_elements(min_spanning_tree(&undirected));
        sum = mix(sum, tree.edge_weights().map(|weight| u64::from(*weight)).sum());
        mix(sum, kosaraju_scc(&directed).len() as u64)
    });
}
