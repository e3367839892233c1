//! Sites: all that were written are found, with random ones and at all distances; and any bytes are read
//! without a panic, in bounded time.

use proptest::prelude::*;
use wfaas_abi::TrapCode;
use wfaas_abi::artifact::records::SiteBlock;
use wfaas_abi::artifact::{MAX_PLACES, SITES_IN_BLOCK, Site, SiteWriter, Sites};

/// Distances to the next site and between places: near ones, and any.
fn number() -> impl Strategy<Value = u32> {
    prop_oneof![4 => 0..80u32, 1 => any::<u32>()]
}

fn trap() -> impl Strategy<Value = Option<TrapCode>> {
    let any_code = (0..TrapCode::ALL.len()).prop_map(|index| Some(TrapCode::ALL[index]));
    prop_oneof![3 => Just(None), 3 => Just(Some(TrapCode::MemoryOutOfBounds)), 1 => any_code]
}

/// Places near the ones before: mostly one, sometimes as many as there may be.
fn places() -> impl Strategy<Value = Vec<u32>> {
    let many = prop::collection::vec(number(), 0..=MAX_PLACES);
    prop_oneof![3 => prop::collection::vec(number(), 1), 1 => many]
}

/// Sites of several blocks, ascending.
fn sites() -> impl Strategy<Value = Vec<Site>> {
    let parts = (1..600_000u32, trap(), places());
    let parts = prop_oneof![9 => (1..60u32, trap(), places()), 1 => parts];
    prop::collection::vec(parts, 0..4 * SITES_IN_BLOCK).prop_map(|parts| {
        let mut offset = 0;
        let site = |(distance, trap, places): (u32, _, Vec<u32>)| {
            offset += distance;
            Site::new(offset, trap, &places).unwrap()
        };
        parts.into_iter().map(site).collect()
    })
}

fn written(sites: &[Site]) -> SiteWriter {
    let mut writer = SiteWriter::default();
    sites.iter().for_each(|site| writer.push(site));
    writer
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..Default::default() })]

    #[test]
    fn all_sites_are_found_from_everywhere(sites in sites(), anywhere: u32) {
        let writer = written(&sites);
        let read = Sites::new(writer.blocks(), writer.bytes());
        prop_assert_eq!(read.iter().collect::<Vec<_>>(), sites.clone());
        let around = sites.iter().flat_map(|site| {
            [site.text_offset - 1, site.text_offset, site.text_offset.saturating_add(1)]
        });
        for offset in around.chain([0, anywhere, u32::MAX]) {
            let naive = sites.iter().rev().find(|site| site.text_offset <= offset);
            prop_assert_eq!(read.last_to(offset), naive.copied());
        }
    }

    #[test]
    fn damaged_sites_are_read_to_an_end(
        sites in sites(),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..20),
        blocks in prop::collection::vec((any::<prop::sample::Index>(), number(), number()), 0..4),
        offsets in prop::collection::vec(number(), 20),
    ) {
        prop_assume!(!sites.is_empty());
        let writer = written(&sites);
        let (mut records, mut bytes) = (writer.blocks().to_vec(), writer.bytes().to_vec());
        for (at, byte) in damage {
            *at.get_mut(&mut bytes) = byte;
        }
        for (at, text_offset, start) in blocks {
            *at.get_mut(&mut records) =
                SiteBlock { text_offset: text_offset.into(), start: start.into() };
        }
        check_bounds(Sites::new(&records, &bytes), records.len(), &offsets)?;
    }

    #[test]
    fn any_bytes_are_read_to_an_end(
        bytes in prop::collection::vec(any::<u8>(), 0..2000),
        blocks in prop::collection::vec((number(), number()), 0..20),
        offsets in prop::collection::vec(number(), 20),
    ) {
        let blocks: Vec<SiteBlock> = blocks
            .into_iter()
            .map(|(text_offset, start)| {
                SiteBlock { text_offset: text_offset.into(), start: start.into() }
            })
            .collect();
        check_bounds(Sites::new(&blocks, &bytes), blocks.len(), &offsets)?;
    }
}

fn check_bounds(read: Sites<'_>, blocks: usize, offsets: &[u32]) -> Result<(), TestCaseError> {
    prop_assert!(read.iter().count() <= blocks * SITES_IN_BLOCK);
    prop_assert!(read.iter().all(|site| site.places().len() <= MAX_PLACES));
    for offset in offsets {
        let found = read.last_to(*offset);
        prop_assert!(found.is_none_or(|site| site.text_offset <= *offset));
    }
    Ok(())
}

#[test]
fn a_usual_site_takes_two_bytes() {
    let trap = Some(TrapCode::MemoryOutOfBounds);
    let site = |index: u32| Site::new(9 * index, trap, &[1000 + 5 * index]).unwrap();
    let sites: Vec<Site> = (1..=SITES_IN_BLOCK as u32).map(site).collect();
    let writer = written(&sites);
    assert_eq!(writer.blocks().len(), 1);
    // The first has its whole place, two bytes, and their number.
    assert_eq!(writer.bytes().len(), 2 * SITES_IN_BLOCK + 3);
}
