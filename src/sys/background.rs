//! The priority of threads that read in the background.
//!
//! One door for three systems: the idle class of Linux's I/O scheduler, the throttled
//! disk policy of macOS, the background mode of Windows. The priority belongs to a
//! thread and ends with it. A system that refuses lets the thread read as any other.

/// Lets the disk serve this thread only while no other program wants it.
pub fn read_in_background() {
    if !lower_this_thread() {
        log::debug!("the system gives no low priority to reads");
    }
}

/// The system calls have no safe wrapper in the packages of this program. They take
/// plain numbers and the calling thread, so that no memory is involved.
#[cfg(target_os = "linux")]
#[allow(unsafe_code)]
fn lower_this_thread() -> bool {
    const WHO_PROCESS: libc::c_int = 1;
    const THIS_THREAD: libc::c_int = 0;
    const CLASS_IDLE: libc::c_int = 3 << 13;
    // SAFETY: the call reads three numbers.
    let result =
        unsafe { libc::syscall(libc::SYS_ioprio_set, WHO_PROCESS, THIS_THREAD, CLASS_IDLE) };
    result == 0
}

#[cfg(target_os = "macos")]
#[allow(unsafe_code)]
fn lower_this_thread() -> bool {
    const TYPE_DISK: libc::c_int = 0;
    const SCOPE_THREAD: libc::c_int = 1;
    const THROTTLE: libc::c_int = 3;
    unsafe extern "C" {
        fn setiopolicy_np(
            iotype: libc::c_int,
            scope: libc::c_int,
            policy: libc::c_int,
        ) -> libc::c_int;
    }
    // SAFETY: the call reads three numbers.
    let result = unsafe { setiopolicy_np(TYPE_DISK, SCOPE_THREAD, THROTTLE) };
    result == 0
}

#[cfg(windows)]
#[allow(unsafe_code)]
fn lower_this_thread() -> bool {
    use windows_sys::Win32::System::Threading::{
        GetCurrentThread, SetThreadPriority, THREAD_MODE_BACKGROUND_BEGIN,
    };
    // SAFETY: the handle of the current thread is a constant that is always valid.
    let result = unsafe { SetThreadPriority(GetCurrentThread(), THREAD_MODE_BACKGROUND_BEGIN) };
    result != 0
}

#[cfg(not(any(target_os = "linux", target_os = "macos", windows)))]
fn lower_this_thread() -> bool {
    false
}

#[cfg(test)]
mod tests {
    /// The class of a thread is that of its reads, and no other thread has it.
    #[cfg(target_os = "linux")]
    #[test]
    #[allow(unsafe_code)]
    fn only_the_thread_that_asks_reads_in_the_background() {
        // SAFETY: the call reads two numbers.
        let class = || unsafe { libc::syscall(libc::SYS_ioprio_get, 1, 0) } >> 13;
        let lowered = std::thread::spawn(move || {
            super::read_in_background();
            class()
        });
        assert_eq!(lowered.join().unwrap(), 3);
        assert_ne!(class(), 3);
    }
}
