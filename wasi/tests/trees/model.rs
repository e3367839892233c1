//! Random operations on a tree and on a directory of the host: the same comes of them.

use crate::common::{TREE, bundle, host, memory, on_host, over};
use crate::operation::{Operation, Outcome, Tree, operation};
use proptest::prelude::*;
use std::sync::Arc;
use wfaas_wasi::files::{Directory, Error};

/// Applies operations to both. In an overlay a directory of the lower tree is not renamed: the other
/// tree is not asked to, then.
fn compare(
    tree: Arc<dyn Directory>,
    model: Arc<dyn Directory>,
    operations: &[Operation],
) -> Result<(), TestCaseError> {
    let (mut tree, mut model) = (Tree::new(tree), Tree::new(model));
    for (index, operation) in operations.iter().enumerate() {
        let outcome = tree.apply(operation);
        if outcome == Outcome::Failed(Error::CrossDevice) {
            continue;
        }
        let expected = model.apply(operation);
        // Of two paths that cannot be, either may be the reason.
        let has_two = matches!(operation, Operation::Rename { .. } | Operation::Link { .. });
        if has_two && [&outcome, &expected].iter().all(|one| matches!(one, Outcome::Failed(_))) {
            continue;
        }
        prop_assert_eq!(outcome, expected, "operation {} of {:#?}", index, operations);
    }
    Ok(())
}

fn operations() -> impl Strategy<Value = Vec<Operation>> {
    proptest::collection::vec(operation(), 1..40)
}

const ROOM: u64 = 16 << 20;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn memory_does_as_the_host(operations in operations()) {
        let folder = tempfile::tempdir().unwrap();
        compare(memory(ROOM), host(folder.path(), false), &operations)?;
    }

    #[test]
    fn memory_over_a_bundle_does_as_the_host(operations in operations()) {
        let folder = on_host(TREE);
        compare(over(bundle(TREE), ROOM), host(folder.path(), false), &operations)?;
    }

    #[test]
    fn memory_over_the_host_does_as_the_host(operations in operations()) {
        let (lower, folder) = (on_host(TREE), on_host(TREE));
        let tree = over(host(lower.path(), true), ROOM);
        compare(tree, host(folder.path(), false), &operations)?;
    }

    #[test]
    fn memory_over_memory_does_as_the_host(
        first in operations(), second in operations()
    ) {
        let folder = tempfile::tempdir().unwrap();
        let (lower, model) = (memory(ROOM), host(folder.path(), false));
        compare(lower.clone(), model.clone(), &first)?;
        compare(over(lower, ROOM), model, &second)?;
    }

    #[test]
    fn a_bundle_does_as_a_read_only_directory_of_the_host(operations in operations()) {
        let folder = on_host(TREE);
        compare(bundle(TREE), host(folder.path(), true), &operations)?;
    }
}
