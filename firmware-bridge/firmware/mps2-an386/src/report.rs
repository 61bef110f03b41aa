//! The end of a run: what went wrong enters, an exit code of the emulator leaves by semihosting.

use core::panic::PanicInfo;

use semihosting::process::ExitCode;

#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    defmt::error!("{}", defmt::Display2Format(info));
    exit(false)
}

/// Ends the emulator: with exit code 0 if all is well, else with 1.
pub fn exit(well: bool) -> ! {
    let code = if well { ExitCode::SUCCESS } else { ExitCode::FAILURE };
    code.exit_process()
}
