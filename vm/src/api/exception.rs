//! Exceptions and their tags, as host functions make them.

use crate::api::store::{AsContext, AsContextMut, inner, inner_mut};
use crate::api::val::Val;
use crate::runtime::error::Error;
use crate::runtime::objects::Objects;
use crate::runtime::thrown::Exception;
use wfaas_abi::types::cells_of;
use wfaas_abi::{FuncType, ValType};

/// A tag of a store: the kind of an exception, and the types of the values it carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tag {
    pub(super) store: u32,
    pub(super) index: u32,
}

impl Tag {
    /// A tag of the host's making, for exceptions with values of these types.
    pub fn new(store: &mut impl AsContextMut, types: impl IntoIterator<Item = ValType>) -> Tag {
        let objects = &mut inner_mut(store).objects;
        let index = objects.add_tag(FuncType::new(types, []));
        Tag { store: objects.id(), index }
    }

    /// The type: its parameters are the types of the values.
    pub fn ty(&self, store: &impl AsContext) -> FuncType {
        let objects = &inner(store).objects;
        objects.tag(self.index_in(objects)).clone()
    }

    /// The tag's place in its store, which must be this one.
    pub(super) fn index_in(&self, objects: &Objects) -> u32 {
        objects.check_id(self.store);
        self.index
    }
}

impl Exception {
    /// An exception with a tag and the values that belong to it. A host function that returns
    /// [`Error::Exception`] throws it.
    ///
    /// # Errors
    /// [`Error::TypeMismatch`] if the values do not fit the tag, [`Error::Trap`] if the store has
    /// no room for one more.
    pub fn new(
        store: &mut impl AsContextMut,
        tag: Tag,
        values: &[Val],
    ) -> Result<Exception, Error> {
        let store = inner_mut(store);
        let objects = &mut store.objects;
        let index = tag.index_in(objects);
        let ty = objects.tag(index).clone();
        objects.check_types(values, ty.params())?;
        let mut cells = vec![0; cells_of(ty.params())];
        objects.write_cells(&mut cells, values.iter(), None)?;
        objects.add_exception(&store.call, index, cells.into_boxed_slice())
    }

    /// The tag.
    pub fn tag(&self) -> Tag {
        let (store, index) = self.tag_place();
        Tag { store, index }
    }

    /// The values.
    ///
    /// # Errors
    /// [`Error::Unsupported`] if one is a damaged reference, or the exception is from before the
    /// store was reset.
    pub fn values(&self, store: &impl AsContext) -> Result<Vec<Val>, Error> {
        let objects = &inner(store).objects;
        let ty = objects.tag(self.tag().index_in(objects));
        objects.exception_to_bits(self)?;
        objects.read_cells(self.cells(), ty.params(), None)
    }
}
