//! The object's arrays in our own memory: each is mapped once, however many readers it has.

use std::{any::Any, cell::RefCell, collections::BTreeMap, fmt, rc::Rc};

use aya::Ebpf;
use zerocopy::{FromBytes, KnownLayout};

use super::{CollectError, Mapped};

/// Those that are mapped so far, by their names. Each port of a trace has readers of its own, and the kernel's arrays are for all of them.
#[derive(Default)]
pub struct Maps {
    arrays: Shared,
    common: Shared,
}

type Shared = RefCell<BTreeMap<&'static str, Rc<dyn Any>>>;

impl Maps {
    /// The object's array `name`: see [`Mapped::of`].
    pub(crate) fn array<T>(&self, object: &Ebpf, name: &'static str) -> Result<Rc<Mapped<T>>, CollectError>
    where
        T: FromBytes + KnownLayout + Copy + 'static,
    {
        if let Some(known) = self.arrays.borrow().get(name) {
            return Rc::clone(known).downcast().map_err(|_| CollectError::Layout { map: name });
        }
        let mapped = Rc::new(Mapped::of(object, name)?);
        self.arrays.borrow_mut().insert(name, Rc::clone(&mapped) as Rc<dyn Any>);
        Ok(mapped)
    }
}

impl Maps {
    /// What the readers of several ports have in common, made once, by its name.
    pub(crate) fn common<T: Default + 'static>(&self, name: &'static str) -> Rc<T> {
        let mut common = self.common.borrow_mut();
        let known = common.entry(name).or_insert_with(|| Rc::new(T::default()));
        Rc::clone(known).downcast().unwrap_or_default()
    }
}

impl fmt::Debug for Maps {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.arrays.borrow().keys()).finish()
    }
}
