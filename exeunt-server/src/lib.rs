//! Login and logout as a ready-made server, on one SQLite file.
//!
//! This is the inside of the program `exeunt`, split off so that its parts can be tested; it promises no stable
//! interface. It must never hold a rule about sessions: those are the library's.

pub mod accounts;
pub mod admin;
pub mod cli;
pub mod config;
pub mod control;
pub mod serve;
