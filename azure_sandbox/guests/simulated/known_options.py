"""The options of the real programs, and how each refuses one that it does not have."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Known:
    """The options of one program; `hint` follows the reason, and is the usual one where it is None."""

    short: str
    long: str
    status: int = 1
    hint: str | None = None

    def has(self, option: str) -> bool:
        """Whether the real program has the option; long ones may be shortened."""
        if len(option) == 1:
            return option in self.short
        return any(name.startswith(option) for name in self.long.split())


def refusal(program: str, option: str, written: str, reason: str) -> tuple[str, int] | None:
    """What the real program says of an option and its exit status; None where this guest lacks what the real one has.

    `written` is the argument as it stands, `reason` is getopt's: no such option, no argument, or one too many.
    """
    known = KNOWN.get(program)
    if known is None:
        return None
    letter = len(option) == 1
    if "requires argument" in reason:
        text = f"option requires an argument -- '{option}'" if letter else f"option '--{option}' requires an argument"
    elif "must not have" in reason:
        text = f"option '--{option}' doesn't allow an argument"
    elif known.has(option):
        return None
    elif program.startswith("apt"):
        shown = f"'{option}' [from -{option}]" if letter else f"--{option}"
        end = "." if letter else ""
        return f"E: Command line option {shown} is not understood in combination with the other options{end}", 100
    else:
        text = f"invalid option -- '{option}'" if letter else f"unrecognized option '{written}'"
    hint = f"Try '{program} --help' for more information." if known.hint is None else known.hint
    return f"{program}: {text}" + (f"\n{hint}" if hint else ""), known.status


_APT = Known(
    "hvyqodfmsuVPbatc",
    "yes assume-yes assume-no quiet option no-install-recommends install-recommends install-suggests no-install-suggests download-only fix-broken fix-missing ignore-missing no-download simulate just-print dry-run recon no-act show-upgraded verbose-versions host-architecture build-profiles compile build ignore-hold with-new-pkgs no-upgrade only-upgrade allow-downgrades allow-remove-essential allow-change-held-packages force-yes print-uris purge reinstall list-cleanup default-release target-release trivial-only mark-auto no-remove auto-remove autoremove only-source diff-only dsc-only tar-only arch-only indep-only allow-unauthenticated allow-insecure-repositories allow-releaseinfo-change show-progress with-source error-on config-file help version",
)
KNOWN = {
    "arch": Known("", "help version"),
    "base64": Known("diw", "decode ignore-garbage wrap help version"),
    "basename": Known("asz", "multiple suffix zero help version"),
    "cat": Known(
        "AETbenstuv", "show-all number-nonblank show-ends number squeeze-blank show-tabs show-nonprinting help version"
    ),
    "chmod": Known(
        "Rcfv", "changes silent quiet verbose no-preserve-root preserve-root reference recursive help version"
    ),
    "chown": Known(
        "HLPRcfhv",
        "changes silent quiet verbose dereference no-dereference from no-preserve-root preserve-root reference recursive help version",
    ),
    "cp": Known(
        "HLPRSTZabdfilnprstuvx",
        "archive attributes-only backup copy-contents force interactive link dereference no-clobber no-dereference preserve no-preserve parents recursive reflink remove-destination sparse strip-trailing-slashes symbolic-link suffix target-directory no-target-directory update verbose one-file-system context help version",
    ),
    "cut": Known(
        "Mbcdfnsz",
        "bytes characters delimiter fields complement only-delimited output-delimiter zero-terminated help version",
    ),
    "date": Known(
        "IRdfrsu", "date debug file iso-8601 resolution rfc-email rfc-3339 reference set utc universal help version uct"
    ),
    "df": Known(
        "BHPTahikltvx",
        "all block-size human-readable si inodes local no-sync output portability sync total type print-type exclude-type help version",
    ),
    "dirname": Known("z", "zero help version"),
    "env": Known(
        "0CSiuv",
        "ignore-environment null unset chdir split-string block-signal default-signal ignore-signal list-signal-handling debug help version",
        status=125,
    ),
    "flock": Known(
        "EFVcehnosuwx",
        "shared exclusive unlock nonblock timeout conflict-exit-code close command no-fork verbose help version",
        status=64,
    ),
    "grep": Known(
        "0123456789ABCDEFGHILPRTUVZabcdefhilmnoqrsvwxyz",
        "extended-regexp fixed-strings basic-regexp perl-regexp regexp file ignore-case no-ignore-case word-regexp line-regexp null-data no-messages invert-match version help max-count byte-offset line-number line-buffered with-filename no-filename label only-matching quiet silent binary-files text directories devices recursive dereference-recursive include exclude exclude-from exclude-dir files-without-match files-with-matches count initial-tab null before-context after-context context group-separator no-group-separator color colour binary",
        status=2,
        hint="Usage: grep [OPTION]... PATTERNS [FILE]...\nTry 'grep --help' for more information.",
    ),
    "groups": Known("", "help version"),
    "head": Known("cnqvz", "bytes lines quiet silent verbose zero-terminated help version"),
    "hostnamectl": Known("HMh", "help version no-ask-password host machine transient static pretty json", hint=""),
    "id": Known("GZagnruz", "context group groups name real user zero help version"),
    "ls": Known(
        "1ABCDFGHILNQRSTUXZabcdfghiklmnopqrstuvwx",
        "all almost-all author escape block-size ignore-backups color directory dired classify file-type format full-time group-directories-first no-group human-readable si dereference-command-line dereference-command-line-symlink-to-dir hide hyperlink indicator-style inode ignore kibibytes dereference numeric-uid-gid literal hide-control-chars show-control-chars quote-name quoting-style reverse recursive size sort time time-style tabsize width context zero help version",
        status=2,
    ),
    "lsb_release": Known("acdhirsv", "help version id description release codename all short", status=2, hint=""),
    "mkdir": Known("Zmpv", "mode parents verbose context help version"),
    "mv": Known(
        "STZbfintuv",
        "backup force interactive no-clobber strip-trailing-slashes suffix target-directory no-target-directory update verbose context help version",
    ),
    "nproc": Known("", "all ignore help version"),
    "printenv": Known("0", "null help version", status=2),
    "pwd": Known("LP", "logical physical help version"),
    "rm": Known(
        "IRdfirv", "force interactive one-file-system no-preserve-root preserve-root recursive dir verbose help version"
    ),
    "sed": Known(
        "Eefilnrsuz",
        "quiet silent debug expression file follow-symlinks in-place line-length posix regexp-extended separate sandbox unbuffered null-data help version zero-terminated",
        hint="Usage: sed [OPTION]... {script-only-if-no-other-script} [input-file]...",
    ),
    "seq": Known("fsw", "format separator equal-width help version"),
    "setsid": Known("Vcfhw", "ctty fork wait help version"),
    "sleep": Known("", "help version"),
    "sort": Known(
        "CMRSTVbcdfghikmnorstuz",
        "ignore-leading-blanks dictionary-order ignore-case general-numeric-sort ignore-nonprinting month-sort human-numeric-sort numeric-sort random-sort random-source reverse sort version-sort batch-size check compress-program debug files0-from key merge output stable buffer-size field-separator temporary-directory parallel unique zero-terminated help version",
        status=2,
    ),
    "systemctl": Known(
        "HMPTafhilnopqrst",
        "help version system user host machine type state failed property all full recursive reverse with-dependencies job-mode show-transaction show-types value check-inhibitors kill-whom signal what now dry-run quiet wait no-block no-wall no-reload legend no-pager no-ask-password global runtime force preset-mode root image lines output firmware-setup boot-loader-menu boot-loader-entry plain timestamp read-only mkdir marked",
        hint="",
    ),
    "tac": Known("brs", "before regex separator help version"),
    "tail": Known(
        "Fcfnqsvz",
        "bytes follow lines max-unchanged-stats pid quiet silent retry sleep-interval verbose zero-terminated help version",
    ),
    "tee": Known("aip", "append ignore-interrupts output-error help version"),
    "touch": Known("acdfhmrt", "no-create date no-dereference reference time help version"),
    "tr": Known("Ccdst", "complement delete squeeze-repeats truncate-set1 help version"),
    "uname": Known(
        "aimnoprsv",
        "all kernel-name nodename kernel-release kernel-version machine processor hardware-platform operating-system help version",
    ),
    "uniq": Known(
        "Dcdfisuwz",
        "count repeated all-repeated skip-fields group ignore-case skip-chars unique zero-terminated check-chars help version",
    ),
    "wc": Known("Lclmw", "bytes chars lines files0-from max-line-length words help version"),
    "whoami": Known("", "help version"),
    "xargs": Known(
        "0EILPadeilnoprstx",
        "null arg-file delimiter eof replace max-lines max-args open-tty max-procs interactive process-slot-var no-run-if-empty max-chars show-limits verbose help version",
    ),
    "apt": _APT,
    "apt-get": _APT,
}
