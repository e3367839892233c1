//! Nothing: the interfaces of the dependency are read.
