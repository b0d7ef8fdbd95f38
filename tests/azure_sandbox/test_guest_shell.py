"""The simulated guest's shell and text programs do what this host's bash and coreutils do with the same lines."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import paramiko
import pytest

from .test_simulated_guest import SimulatedVM, run

FILES = {
    "fruit": "pear 3\napple 10\nfig 2\napple 10\n",
    "colons": "a:b:c\nx:y\nplain\n:empty:\n",
    "config": "# comment\nname = one\nport=8080\n\nname = two\n",
    "numbers": "10\n9\n-3\n2.5\n100\n",
    "long": "".join(f"line {number}\n" for number in range(1, 31)),
    "noend": "one\ntwo",
}
LINES = r"""
cut -c2 fruit; cut -c1-3,5 fruit; cut -c3- fruit; cut -b -2 fruit
cut -d: -f2 colons; cut -d: -f1,3 colons; cut -d: -f2- colons; cut -s -d: -f-2 colons; cut -d: -f3,1 colons
cut -d: --complement -f2 colons; cut -d ' ' --output-delimiter=- -f1,2 fruit
cut -f0 fruit
cut -f3-1 fruit
cut -d ab -f1 fruit
cut fruit
cut -c1 -f1 fruit
cut -f1 nofile; echo $?
head -n 2 long; head -3 long; head -n -28 long; head -c 9 long; head -c -250 long; head noend
tail -n 2 long; tail -n +29 long; tail -c 5 long; tail -c +250 long; tail -1 noend
head -n 1 fruit colons; tail -q -n 1 fruit colons; head -n x fruit
head nofile
wc -l fruit; wc fruit; wc -w < fruit; wc -c fruit colons; cat fruit | wc; wc -lw fruit colons
sort fruit; sort -r fruit; sort -u fruit; sort -n numbers; sort -rn numbers; sort -k2 -n fruit; sort -t: -k2 colons
sort -k2,2n fruit; sort -f config; sort nofile; echo $?
uniq fruit; sort fruit | uniq; sort fruit | uniq -c; sort fruit | uniq -d; sort fruit | uniq -u
echo hello | tr a-z A-Z; echo hello | tr -d l; echo aabbcc | tr -s ab; echo a,b,c | tr , '\n'; echo hello | tr -c 'a-z\n' -
echo 'Hello World' | tr '[:upper:]' '[:lower:]'; echo abc | tr abc x; printf 'a\r\n' | tr -d '\r'
tr; echo $?
tr a; echo $?
tr -d a b c; echo $?
sed s/a/X/ fruit; sed s/p/X/g fruit; sed 's/p/X/2' fruit; sed -n 's/apple/X/p' fruit; sed -n 2p fruit; sed 1d fruit; sed '$d' fruit
sed -n '2,3p' fruit; sed '/apple/d' fruit; sed -n '/fig/p' fruit; sed -n '/pear/,/fig/p' fruit; sed '/apple/!d' fruit
sed -E 's/([a-z]+) ([0-9]+)/\2 \1/' fruit; sed 's/\([a-z]*\) /[\1]/' fruit; sed 's|/|-|g' <<< a/b/c; sed 's/apple/<&>/' fruit
sed -e s/a/b/ -e s/b/c/ fruit; sed 's/a/b/;s/b/c/' fruit; sed 2q fruit; sed 's/APPLE/x/I' fruit; sed -i s/pear/plum/ fruit; cat fruit
sed 's/a.*$/x/' fruit; sed 's/^/> /' fruit; sed 's/ *$//' fruit; sed 's/[0-9][0-9]*/N/' fruit
sed s/a fruit; sed -n '$p' long noend; sed p nofile
grep apple fruit; grep -c apple fruit; grep -v apple fruit; grep -n fig fruit; grep -o '[0-9]*' fruit; grep -E 'a|f' fruit
grep -E -o '[a-z]+' fruit; grep -i APPLE fruit; grep -w 10 fruit; grep -x 'fig 2' fruit; grep -l apple fruit colons
grep -F a.b colons; grep 'a\|f' fruit; grep 'ap\{1,2\}le' fruit; grep -h a fruit colons; grep a fruit colons; grep -q apple fruit; echo $?
grep -q nothing fruit; echo $?
grep x nofile; echo $?
grep -s x nofile; echo $?
grep -A1 fig fruit; grep -B1 fig fruit; grep -m1 apple fruit; grep -e fig -e pear fruit; grep '^a.*0$' fruit; grep '[[:digit:]]\+' fruit
grep -E '^[^#]+=' config; grep -v '^#' config; grep -vE '^(#|$)' config
echo hello | base64; base64 fruit; base64 -w 10 fruit; base64 -w0 fruit; echo aGVsbG8K | base64 -d; base64 fruit | base64 --decode
echo 'a*b' | base64 -d; echo $?
echo aGVsbG8 | base64 -d; echo $?
printf '%s\n' a b c; printf '%5s|%-5s|%05d|%x|%o|%X\n' a b 42 255 8 255; printf '%s %s\n' a b c; printf 'a\tb\\n\n'; printf '%%\n'
printf '%.2s|%3d|%-3d|%+d\n' abc 5 5 5; printf '%b' 'a\nb\n'; printf '%c\n' word; printf '%d\n' 0x10 010; printf '%s\n'; printf x
printf '%d\n' a1; echo $?
printf; echo $?
seq 3; seq 2 4; seq 1 2 7; seq 5 -2 1; seq -s, 3; seq 3 1
seq a; echo $?
echo a b c | xargs; echo a b c | xargs -n1; echo a b c | xargs -n 2 echo x; printf 'a b\nc\n' | xargs -I{} echo '<{}>'; xargs echo none < /dev/null
xargs -r echo none < /dev/null; echo "'a b' c" | xargs -n1; echo a | xargs false; echo $?
basename /a/b.txt; basename /a/b.txt .txt; basename /; dirname /a/b /c d; dirname a
echo -n a; echo -e 'a\tb\nc'; echo 'a\tb'; echo -e 'a\cb'; echo; echo -e '\0101\x41'
cat -n fruit; cat fruit noend; cat nofile; echo $?
cat nofile fruit; echo $?
tac fruit
for x in a b c; do echo "$x"; done; for x in 1 2; do for y in a b; do echo $x$y; done; done; for x in; do echo never; done; echo $x
for i in {1..3}; do echo $i; done; echo {a,b}{1,2} x{3..1}; for f in *o*; do echo $f; done; echo f*t; echo [cn]o*; echo '*' "*" no*such
i=0; while [ $i -lt 3 ]; do i=$((i+1)); echo $i; done; until [ $i -eq 0 ]; do i=$((i - 1)); done; echo $i; echo $((7/2)) $((-7/2)) $((7%3)) $((2*(3+4))) $((1<2)) $((i==0))
while read -r name count; do echo "$count of $name"; done < fruit; cat fruit | while read line; do echo "[$line]"; done; while IFS=: read a b; do echo "$b-$a"; done < colons
if [ -f fruit ]; then echo yes; fi; if false; then echo a; elif true; then echo b; else echo c; fi; if ! grep -q x fruit; then echo none; fi
if [ "$x" = "" ]; then echo empty; else echo full; fi; [ ! -e nofile ] && echo missing; [ -z "" ] && [ -n a ] && echo both
for x in 1 2 3; do if [ $x = 2 ]; then continue; fi; echo $x; done; for x in 1 2 3; do [ $x = 2 ] && break; echo $x; done; for x in a b; do for y in 1 2; do break 2; done; done; echo $x$y
for x in a b; do echo $x; done | tr a-z A-Z; { echo a; echo b; } | wc -l; (cd /; pwd); (x=5; echo $x); echo "[$x]"; (exit 3); echo $?
for x in a b; do echo $x; done > out; cat out; if true; then echo err >&2; fi 2> out; cat out; while read x; do echo "<$x>"; done <<< "one"
echo $(echo a; echo b); echo "$(echo a; echo b)"; x=$(cat fruit | head -1); echo $x; echo `echo back`; echo $(echo $(echo deep)); y=`date +%s >/dev/null; echo ok`; echo $y
x=hello.tar.gz; echo ${x%.gz} ${x%%.*} ${x#*.} ${x##*.} ${#x} ${y:-none} ${y-unset} ${x:+set} ${z:=assigned} $z; echo ${nothing:-$x} "${nothing:-a b}"
true && echo a || echo b; false || echo c; ! true; echo $?; ! false; echo $?
cat <<END
x is $x and \$x and $(echo run)
END
cat <<'END'
x is $x
END
cat <<-END | tr a-z A-Z
	tabbed
	END
set -e; if false; then :; fi; false || true; ! true; echo alive; false; echo never
set -- a b; echo $#
echo $# "$@" $*; bash -c 'echo $# $1 "$@"; shift; echo $1' name a "b c"; sh -c 'for x; do echo "[$x]"; done' name a "b c"
[ a = a ] && [ a != b ] && [ 1 -lt 2 ] && echo yes; [ a = b ]; echo $?; [ -d . ] && [ ! -f . ] && echo dir; test -s fruit && echo size
[ 1 -eq a ]; echo $?
break; echo $?
done
if true; echo a; fi
( echo a
echo 'unfinished
nosuchprogram; echo $?
./fruit; echo $?; printf '#!/bin/sh\necho "$1 $#"; exit 3\n' > script; chmod 755 script; ./script a b; echo $?; ./; echo $?
exit 5
x='a  b'; echo $x; echo "$x"; set -u; echo ${undefined:-fine}; echo "${x}y"
echo a;echo b&&echo c||echo d # comment
echo one two | { read a b; echo $b $a; }; read x < fruit; echo $x; read -r y z <<< 'a\b c d'; echo "$y $z"; read q < /dev/null; echo $?
echo "a'b" 'c"d' a\ b "\$x \" \\"; echo a"b"c'd'; echo "" '' | wc -c
unset x; echo "[$x]"; x=1 y=2; echo $x$y; X=exported bash -c 'echo $X'; export Z=3; sh -c 'echo $Z'; echo [$X]
"""

OPTIONS = [
    "arch",
    "base64",
    "basename",
    "cat",
    "chmod",
    "chown",
    "cp",
    "cut",
    "date",
    "df",
    "dirname",
    "env",
    "flock",
    "grep",
    "egrep",
    "groups",
    "head",
    "id",
    "ls",
    "lsb_release",
    "mkdir",
    "mv",
    "nproc",
    "printenv",
    "rm",
    "sed",
    "seq",
    "setsid",
    "sleep",
    "sort",
    "tac",
    "tail",
    "tee",
    "touch",
    "tr",
    "uname",
    "uniq",
    "wc",
    "whoami",
    "xargs",
    "which",
]
WITHOUT_ARGUMENT = (
    """
cut -d; cut --fields; head -n; tail --lines; grep -A; grep --regexp; sort -k; base64 --wrap; mkdir -m; seq -s; xargs -n; tee --append=x
sort --reverse=yes; uniq --count=1; flock -w; sleep; seq -x 1; seq 1 -x; seq 3 -1 1; seq -s : 2; seq --separator=, -1 1
""".replace("\n", ";")
    .strip(";")
    .split(";")
)


def scripts() -> list[str]:
    """The lines, each a script; a here-document is one with its text."""
    found: list[str] = []
    document = ""
    for line in LINES.strip("\n").splitlines():
        if document:
            found[-1] += f"\n{line}"
            document = "" if line.strip() == document else document
            continue
        found.append(line)
        document = "END" if "<<END" in line or "<<'END'" in line or "<<-END" in line else ""
    return found


@pytest.fixture(scope="module")
def guest(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SimulatedVM]:
    guest = SimulatedVM(tmp_path_factory.mktemp("guest"))
    yield guest
    guest.close()


@pytest.fixture(scope="module")
def client(guest: SimulatedVM) -> Iterator[paramiko.SSHClient]:
    with contextlib.closing(guest.connect()) as client:
        yield client


def real(script: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """A script in this host's bash."""
    environment = {"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8", "HOME": str(folder)}
    options: dict[str, Any] = {"cwd": folder, "env": environment, "stdin": subprocess.DEVNULL}
    return subprocess.run(["bash", "-c", script], capture_output=True, text=True, timeout=20, **options)


def first_lines(program: str, errors: str) -> list[str]:
    """What a program says; sed goes on with all of its help."""
    return errors.splitlines()[: 2 if program == "sed" else None]


@pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash to compare with")
@pytest.mark.parametrize("program", OPTIONS)
def test_an_option_that_a_program_does_not_have(client: paramiko.SSHClient, tmp_path: Path, program: str) -> None:
    if shutil.which(program) is None:
        pytest.skip(f"there is no {program} to compare with")
    for line in (f"{program} -@", f"{program} --nosuch", f"{program} --nosuch=value"):
        expected = real(line, tmp_path)
        status, output, errors = run(client, line)
        assert (status, output) == (expected.returncode, expected.stdout), line
        assert first_lines(program, errors) == first_lines(program, expected.stderr), line


@pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash to compare with")
@pytest.mark.parametrize("line", [line.strip() for line in WITHOUT_ARGUMENT])
def test_an_option_without_its_argument(client: paramiko.SSHClient, tmp_path: Path, line: str) -> None:
    expected = real(line, tmp_path)
    assert run(client, line) == (expected.returncode, expected.stdout, expected.stderr)


@pytest.mark.parametrize(
    "line", ["ls --color", "sort --parallel=2", "cut -z -f1", "grep -P x", "apt-get --dry-run install x"]
)
def test_an_option_that_only_the_real_program_has_is_refused_as_such(client: paramiko.SSHClient, line: str) -> None:
    status, _, errors = run(client, line)
    assert status == 2 and "the simulated guest has no option" in errors


def test_apt_refuses_an_option(client: paramiko.SSHClient) -> None:
    end = "is not understood in combination with the other options"
    assert run(client, "apt-get --nosuch") == (100, "", f"E: Command line option --nosuch {end}\n")
    assert run(client, "apt-get -j") == (100, "", f"E: Command line option 'j' [from -j] {end}.\n")


@pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash to compare with")
@pytest.mark.parametrize("script", scripts())
def test_as_bash_and_coreutils(client: paramiko.SSHClient, tmp_path: Path, script: str) -> None:
    for name, text in FILES.items():
        (tmp_path / name).write_text(text)
    expected = real(script, tmp_path)
    made = "".join(f"printf %s '{text}' > {name}; " for name, text in FILES.items())
    assert run(client, f"rm -rf work; mkdir work; cd work; {made}") == (0, "", "")
    status, output, errors = run(client, f"cd work\n{script}")
    assert (output, status) == (expected.stdout, expected.returncode), f"{expected.stderr}\n{errors}"
    # bash says the number of the line, and syntax errors in two lines.
    if "line " not in expected.stderr:
        assert errors == expected.stderr
