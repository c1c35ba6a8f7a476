//! The look at the home slot alone.

use hoptrace_common::inflight::{Kind, place};

use crate::traced::{Traced, key};

#[test]
fn it_tells_of_packets_on_their_way_and_leaves_all_others_to_the_look_at_the_set() {
    let mut traced = Traced::new(16);
    let (first, second) = (key(2, 6, 0), key(2, 6, 1));
    assert_eq!(place::look_home(&traced.table, first), place::NONE);
    assert_eq!(traced.kind(0, first, 1), Kind::New);
    assert_eq!(place::look_home(&traced.table, first), traced.slot(first));
    assert_eq!(place::look(&traced.table, first, 1).found, traced.slot(first));
    // Its home is taken.
    assert_eq!(traced.kind(0, second, 2), Kind::New);
    assert_eq!(place::look_home(&traced.table, second), place::NONE);
    assert_ne!(place::look(&traced.table, second, 2).found, place::NONE);
    for hook in 1..4 {
        assert_eq!(traced.kind(hook, first, 3), Kind::Passed);
    }
    // A packet that is done hides none that is on its way.
    assert_eq!(place::look_home(&traced.table, first), place::NONE);
    assert_eq!(place::look(&traced.table, first, 3).found, traced.slot(first));
}
