//! The real binary, from source code to an answered request. One file a subject.

mod answers;
mod bad_files;
mod bounds;
mod bundle;
mod cache;
mod component_builds;
mod components;
mod debug_lines;
mod deploy;
mod examples;
mod exit_codes;
mod files;
mod hostile_guests;
mod new_and_dev;
mod openwhisk;
mod outgoing;
mod profilers;
mod python;
mod settings;
mod starts;
mod streams;
mod support;
mod untrusted_text;
mod unwritable;
mod warm_up;
