//! The library from outside: real threads, real files, real decoders.

mod bad_input;
mod config;
mod files;
mod media;
mod mixing;
mod picture;
