package atom

import "testing"

func TestExitResult(t *testing.T) {
	code := func(n int) *int { return &n }
	for _, c := range []struct {
		name string
		exit Exit
		want Result
		text string
	}{
		{"nothing known", Exit{}, Unknown, "unknown"},
		{"0", Exit{Code: code(0)}, Success, "success (exit code 0)"},
		{"1", Exit{Code: code(1)}, Failure, "failure (exit code 1)"},
		{"2", Exit{Code: code(2)}, Failure, ""},
		{"125", Exit{Code: code(125)}, Failure, ""},
		{"126 of a program that ran", Exit{Code: code(126)}, Failure, ""},
		{"127 of a program that ran", Exit{Code: code(127)}, Failure, ""},
		{"255", Exit{Code: code(255)}, Failure, ""},
		{"137", Exit{Code: code(137)}, Killed, ""},
		{"143", Exit{Code: code(143)}, Terminated, ""},
		{"out of range", Exit{Code: code(256)}, Unknown, ""},
		{"negative", Exit{Code: code(-137)}, Unknown, ""},
		{"4294967295", Exit{Code: code(4294967295)}, Unknown, ""},
		{"never started", Exit{NeverStarted: true}, StartupFailure, ""},
		{"never started, with the runtime's code", Exit{NeverStarted: true, Code: code(127)}, StartupFailure, ""},
		{"out of memory", Exit{OutOfMemory: true, Code: code(137)}, ResourceFailure, ""},
		{"a child out of memory and exit 1", Exit{OutOfMemory: true, Code: code(1)}, ResourceFailure, ""},
		{"a child out of memory and exit 0", Exit{OutOfMemory: true, Code: code(0)}, Success, ""},
		{"out of memory without a code", Exit{OutOfMemory: true}, Unknown, ""},
		{"evicted, trapped to exit 0", Exit{Reclaimed: true, Code: code(0)}, ResourceFailure, "resource_failure (exit code 0)"},
		{"evicted before it started", Exit{Reclaimed: true, NeverStarted: true}, ResourceFailure, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := c.exit.Result(); got != c.want {
				t.Errorf("%s, want %s", got, c.want)
			}
			if c.text != "" && c.exit.String() != c.text {
				t.Errorf("%q, want %q", c.exit, c.text)
			}
		})
	}
}

func TestParse(t *testing.T) {
	for _, s := range []State{Created, Running, Stopping, Stopped, Deleting, Deleted, Invalid} {
		if got := ParseState(string(s)); got != s {
			t.Errorf("%s became %s", s, got)
		}
		if done := s == Stopped || s == Deleted || s == Invalid; s.Done() != done {
			t.Errorf("%s is done: %v", s, s.Done())
		}
	}
	for _, r := range []Result{Success, Failure, StartupFailure, ResourceFailure, Killed, Terminated, Unknown} {
		if got := ParseResult(string(r)); got != r {
			t.Errorf("%s became %s", r, got)
		}
	}
	for _, s := range []string{"", "RUNNING", "exploded"} {
		if ParseState(s) != Invalid || ParseResult(s) != Unknown {
			t.Errorf("%q became %s, %s", s, ParseState(s), ParseResult(s))
		}
	}
}
