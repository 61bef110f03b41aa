//! Staged recipes: several models of one network, one after another, and their fusion.
//!
//! The third-place entry of the EPIC-SOUNDS challenge of 2023 is four trainings of one Auditory SlowFast, each from where an earlier
//! one ended, whose scores are added with fixed weights. Here each is a stage of a [`StagedRecipe`].
//!
//! The modules in the order of the data: [`recipe`] says what to do; [`sets`] opens the segments; [`plan`] says which views a
//! step sees; [`augment`] changes them; [`loss`] is what is minimised; [`tutor`] lets a stage learn from a teacher, too;
//! [`training`] does the steps of a stage and [`state`] keeps them on disk; [`stage`] is a stage from start to result,
//! [`predict`] what its network says of segments; [`run`] is all stages of one fold with their fusion, [`crossval`] all folds.

pub mod augment;
pub mod crossval;
pub mod loss;
pub mod plan;
pub mod predict;
pub mod recipe;
pub mod run;
pub mod sets;
pub mod stage;
pub mod state;
pub mod training;
pub mod tutor;

pub use recipe::StagedRecipe;
