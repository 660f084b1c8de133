package main

import (
	"bytes"
	"encoding/xml"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/atom-router/atom-router/atom"
	"github.com/atom-router/atom-router/internal/exam"
	"github.com/atom-router/atom-router/plugin"
)

// report has one of each outcome, and what tries to break its form.
func report() *exam.Report {
	return &exam.Report{
		Plugin:       plugin.Description{Name: "acme", Version: "2.1", Protocol: "1.0"},
		Capabilities: atom.Capabilities{atom.CapDelete},
		Results: []exam.Result{
			{Part: "process", Promise: "its health service says that it serves", Outcome: exam.Pass, Took: 12 * time.Millisecond},
			{
				Part: "engine", Promise: "a job's output is complete & <exact>", Outcome: exam.Fail, Took: 1500 * time.Millisecond,
				Err: errors.New("the output should be \"a\x1b[31m\x00\" and is \"]]>\"\nmeanwhile plugin acme ended: exit status 3"),
			},
			{Part: "engine", Promise: "limits of memory are taken", Outcome: exam.NotClaimed, Lacks: atom.CapMemory},
		},
		Took: 2 * time.Second,
	}
}

func TestReportForms(t *testing.T) {
	for _, form := range []string{outputTable, outputJSON, outputJUnit} {
		t.Run(form, func(t *testing.T) {
			var out bytes.Buffer
			a := &app{stdout: &out, output: form}
			if err := a.printReport(report()); err != nil {
				t.Fatal(err)
			}
			path := filepath.Join("testdata", "report-"+form+".golden")
			if os.Getenv("UPDATE_GOLDEN") != "" {
				if err := os.WriteFile(path, out.Bytes(), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), out.String()); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// TestJUnitParses: a strict parser takes the XML, with all that is in it.
func TestJUnitParses(t *testing.T) {
	var out bytes.Buffer
	if err := (&app{stdout: &out, output: outputJUnit}).printReport(report()); err != nil {
		t.Fatal(err)
	}
	var got junitSuites
	dec := xml.NewDecoder(&out)
	dec.Strict = true
	if err := dec.Decode(&got); err != nil {
		t.Fatal(err)
	}
	s := got.Suites[0]
	if s.Tests != 3 || s.Failures != 1 || s.Skipped != 1 || len(s.Cases) != 3 {
		t.Errorf("%+v", s)
	}
	if c := s.Cases[1]; c.Name != "a job's output is complete & <exact>" || c.Failure == nil || !strings.Contains(c.Failure.Text, `and is "]]>"`) {
		t.Errorf("%+v", c)
	}
}

// TestExamInterrupted: Ctrl-C ends an exam in its middle, and leaves neither
// process nor atom.
func TestExamInterrupted(t *testing.T) {
	s := newScene(t, "", processConfig)
	c := s.start(t, "plugin", "test", "process")
	c.until(c.err, "^pass: ")
	c.signal(syscall.SIGINT)
	if code := c.wait(); code != codeInterrupt {
		t.Errorf("exit code %d", code)
	}
	if got := c.err.all.String(); !strings.Contains(got, "Error: the exam was broken off: ") || c.out.all.Len() > 0 {
		t.Errorf("stdout is %q, stderr %q", c.out.all.String(), got)
	}
	if err := s.left(true); err != nil {
		t.Error(err)
	}
}

// TestFullExam: the embedded engine keeps all that it claims, examined as the
// plugins of others are.
func TestFullExam(t *testing.T) {
	s := newScene(t, "", processConfig)
	out, errs, code := s.run(t, "plugin", "test", "process")
	if code != 0 {
		t.Errorf("exit code %d: %s", code, errs)
	}
	if strings.Contains(out, "FAIL") || strings.Count(out, "\npass ") < 150 {
		t.Errorf("%s", out)
	}
	if err := s.left(true); err != nil {
		t.Error(err)
	}
}
