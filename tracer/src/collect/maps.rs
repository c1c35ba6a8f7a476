//! The object's arrays in our own memory: each is mapped once, however many readers it has.

use std::{any::Any, cell::RefCell, collections::BTreeMap, fmt, rc::Rc};

use aya::Ebpf;
use zerocopy::{FromBytes, KnownLayout};

use super::{CollectError, Mapped};

/// Those that are mapped so far, by their names. Each port of a trace has readers of its own, and the kernel's arrays are for all of them.
#[derive(Default)]
pub struct Maps(RefCell<BTreeMap<&'static str, Rc<dyn Any>>>);

impl Maps {
    /// The object's array `name`: see [`Mapped::of`].
    pub(crate) fn array<T>(&self, object: &Ebpf, name: &'static str) -> Result<Rc<Mapped<T>>, CollectError>
    where
        T: FromBytes + KnownLayout + Copy + 'static,
    {
        if let Some(known) = self.0.borrow().get(name) {
            return Rc::clone(known).downcast().map_err(|_| CollectError::Layout { map: name });
        }
        let mapped = Rc::new(Mapped::of(object, name)?);
        self.0.borrow_mut().insert(name, Rc::clone(&mapped) as Rc<dyn Any>);
        Ok(mapped)
    }
}

impl fmt::Debug for Maps {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.borrow().keys()).finish()
    }
}
