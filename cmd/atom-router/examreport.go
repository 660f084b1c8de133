package main

import (
	"encoding/xml"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/atom-router/atom-router/internal/exam"
)

const outputJUnit = "junit"

// printReport prints an exam's end in the form that was asked for.
func (a *app) printReport(r *exam.Report) error {
	switch a.output {
	case outputJSON:
		return a.printJSON(reportJSON(r))
	case outputJUnit:
		return a.printJUnit(r)
	}
	return a.printReportTable(r)
}

// printReportTable prints a line for each promise, below it what was seen of
// one that is broken, and at the end how many there are of which outcome.
func (a *app) printReportTable(r *exam.Report) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%-13s%-9s%s\n", "OUTCOME", "PART", "PROMISE")
	for _, one := range r.Results {
		outcome := string(one.Outcome)
		if one.Outcome == exam.Fail {
			outcome = "FAIL"
		}
		fmt.Fprintf(&b, "%-13s%-9s%s", outcome, one.Part, printable(one.Promise))
		if one.Outcome == exam.NotClaimed {
			fmt.Fprintf(&b, " (needs %s)", one.Lacks)
		}
		b.WriteByte('\n')
		if one.Err != nil {
			for line := range strings.Lines(harmless(one.Err.Error())) {
				fmt.Fprintf(&b, "%22s%s\n", "", strings.TrimRight(line, "\n"))
			}
		}
	}
	fmt.Fprintf(&b, "\n%s: %s.\n", printable(r.Plugin.Name+" "+r.Plugin.Version), verdict(r))
	_, err := io.WriteString(a.stdout, b.String())
	return err
}

// verdict is a report in a few words.
func verdict(r *exam.Report) string {
	return fmt.Sprintf("of %d promises %d pass, %d fail, %d not claimed",
		len(r.Results), r.Count(exam.Pass), r.Count(exam.Fail), r.Count(exam.NotClaimed))
}

// reportAsJSON is an exam's end as programs read it: a stable contract,
// documented in docs/testing-a-plugin.md.
type reportAsJSON struct {
	Plugin       pluginAsJSON    `json:"plugin"`
	Capabilities []string        `json:"capabilities"`
	Passed       int             `json:"passed"`
	Failed       int             `json:"failed"`
	NotClaimed   int             `json:"notClaimed"`
	Seconds      float64         `json:"seconds"`
	Promises     []promiseAsJSON `json:"promises"`
}

type pluginAsJSON struct {
	Name     string `json:"name"`
	Version  string `json:"version"`
	Protocol string `json:"protocol"`
}

type promiseAsJSON struct {
	Part    string       `json:"part"`
	Promise string       `json:"promise"`
	Outcome exam.Outcome `json:"outcome"`
	Lacks   *string      `json:"lacks"`
	Error   *string      `json:"error"`
	Seconds float64      `json:"seconds"`
}

func reportJSON(r *exam.Report) reportAsJSON {
	out := reportAsJSON{
		Plugin:       pluginAsJSON{r.Plugin.Name, r.Plugin.Version, r.Plugin.Protocol},
		Capabilities: make([]string, len(r.Capabilities)),
		Passed:       r.Count(exam.Pass), Failed: r.Count(exam.Fail), NotClaimed: r.Count(exam.NotClaimed),
		Seconds: inSeconds(r.Took), Promises: make([]promiseAsJSON, len(r.Results)),
	}
	for i, c := range r.Capabilities {
		out.Capabilities[i] = string(c)
	}
	for i, one := range r.Results {
		p := promiseAsJSON{one.Part, one.Promise, one.Outcome, orNull(string(one.Lacks)), nil, inSeconds(one.Took)}
		if one.Err != nil {
			text := one.Err.Error()
			p.Error = &text
		}
		out.Promises[i] = p
	}
	return out
}

// inSeconds rounds to milliseconds.
func inSeconds(d time.Duration) float64 { return float64(d.Milliseconds()) / 1000 }

// seconds is a time for people.
func seconds(d time.Duration) string { return fmt.Sprintf("%.1fs", d.Seconds()) }

// The elements of JUnit's XML that CI systems read, as far as they agree
// (https://github.com/testmoapp/junitxml).
type (
	junitSuites struct {
		XMLName xml.Name     `xml:"testsuites"`
		Suites  []junitSuite `xml:"testsuite"`
	}
	junitSuite struct {
		Name     string      `xml:"name,attr"`
		Tests    int         `xml:"tests,attr"`
		Failures int         `xml:"failures,attr"`
		Errors   int         `xml:"errors,attr"`
		Skipped  int         `xml:"skipped,attr"`
		Time     string      `xml:"time,attr"`
		Cases    []junitCase `xml:"testcase"`
	}
	junitCase struct {
		Name    string        `xml:"name,attr"`
		Class   string        `xml:"classname,attr"`
		Time    string        `xml:"time,attr"`
		Failure *junitMessage `xml:"failure"`
		Skipped *junitMessage `xml:"skipped"`
	}
	junitMessage struct {
		Message string `xml:"message,attr"`
		Text    string `xml:",chardata"`
	}
)

func (a *app) printJUnit(r *exam.Report) error {
	suite := junitSuite{
		Name: r.Plugin.Name + " " + r.Plugin.Version, Tests: len(r.Results), Failures: r.Count(exam.Fail),
		Skipped: r.Count(exam.NotClaimed), Time: fmt.Sprintf("%.3f", r.Took.Seconds()),
	}
	for _, one := range r.Results {
		c := junitCase{Name: one.Promise, Class: r.Plugin.Name + "." + one.Part, Time: fmt.Sprintf("%.3f", one.Took.Seconds())}
		switch one.Outcome {
		case exam.Fail:
			first, _, _ := strings.Cut(one.Err.Error(), "\n")
			c.Failure = &junitMessage{first, one.Err.Error()}
		case exam.NotClaimed:
			c.Skipped = &junitMessage{Message: fmt.Sprintf("not claimed: needs %s", one.Lacks)}
		}
		suite.Cases = append(suite.Cases, c)
	}
	if _, err := io.WriteString(a.stdout, xml.Header); err != nil {
		return err
	}
	enc := xml.NewEncoder(a.stdout)
	enc.Indent("", "  ")
	if err := enc.Encode(junitSuites{Suites: []junitSuite{suite}}); err != nil {
		return err
	}
	_, err := fmt.Fprintln(a.stdout)
	return err
}
