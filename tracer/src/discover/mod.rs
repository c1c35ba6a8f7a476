//! Asks every source about this host: libvirt, rtnetlink, OVSDB.
