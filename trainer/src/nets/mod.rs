//! The networks: the streaming student, Auditory SlowFast, and the pretrained teacher.

pub mod pickle;
pub mod slowfast;
pub mod student;
pub mod teacher;
