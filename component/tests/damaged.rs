//! Damaged components: an error or a module, never a panic.

/// Each byte of a component replaced by others, and each end cut off.
#[test]
fn damaged_components_are_refused_or_fused() {
    let component = wat::parse_str(include_str!("shim.wat")).unwrap();
    let mut fused = 0;
    for at in 0..component.len() {
        // What ends with a section is a component, too.
        let _ = wfaas_component::fuse(&component[..at]);
        for value in [0x7f, component[at] ^ 1] {
            let mut damaged = component.clone();
            damaged[at] = value;
            if let Ok(other) = wfaas_component::fuse(&damaged) {
                let section = other.bindings.encode().expect("bindings within the limits");
                let read = wfaas_abi::component::Bindings::parse(&section).unwrap();
                assert_eq!(read, other.bindings, "byte {at} is {value}");
                fused += 1;
            }
        }
    }
    assert!(fused > 0, "constants may be others");
}
