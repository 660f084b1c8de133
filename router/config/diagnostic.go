package config

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/containerd/errdefs"
	"github.com/hashicorp/hcl/v2"

	"github.com/atom-router/atom-router/router"
)

// Diagnostic is one mistake in a config file.
type Diagnostic struct {
	Severity router.Severity
	// Summary is a phrase: what is wrong.
	Summary string
	// Detail is what to do about it, in sentences; it may be empty.
	Detail string
	// Range is what the mistake is about. Its columns count characters, from
	// 1.
	Range hcl.Range

	// in names the block that it stands in: `rule "cuda"`.
	in     string
	source *source
}

// Diagnostics are all mistakes of a config, in the order of the file. They are
// an error, and InvalidArgument; WriteText shows them to people, and as JSON
// they are an array.
type Diagnostics []Diagnostic

// Error is the first error and how many more there are.
func (ds Diagnostics) Error() string {
	errs := ds.Errors()
	if len(errs) == 0 {
		return "no errors"
	}
	d := errs[0]
	s := fmt.Sprintf("%s:%d:%d: %s", d.Range.Filename, d.Range.Start.Line, d.Range.Start.Column, d.Summary)
	if d.Detail != "" {
		s += ". " + strings.TrimSuffix(d.Detail, ".")
	}
	if n := len(errs) - 1; n > 0 {
		s += fmt.Sprintf(" (and %d more)", n)
	}
	return s
}

// Unwrap gives the class InvalidArgument.
func (ds Diagnostics) Unwrap() error { return errdefs.ErrInvalidArgument }

// Errors are those that are no warnings.
func (ds Diagnostics) Errors() Diagnostics {
	return slices.DeleteFunc(slices.Clone(ds), func(d Diagnostic) bool { return d.Severity != router.SeverityError })
}

// err is ds as an error: nil where there are only warnings.
func (ds Diagnostics) err() error {
	if len(ds.Errors()) == 0 {
		return nil
	}
	return ds
}

// maxDiagnostics is how many are told at once; more help nobody.
const maxDiagnostics = 100

// sorted puts ds in the order of the file, each once.
func (ds Diagnostics) sorted() Diagnostics {
	slices.SortStableFunc(ds, func(a, b Diagnostic) int {
		return cmp.Or(cmp.Compare(a.Range.Filename, b.Range.Filename), cmp.Compare(a.Range.Start.Byte, b.Range.Start.Byte))
	})
	ds = slices.CompactFunc(ds, func(a, b Diagnostic) bool {
		return a.Range == b.Range && a.Summary == b.Summary && a.Detail == b.Detail
	})
	if more := len(ds) - maxDiagnostics; more > 0 {
		rest := ds[maxDiagnostics]
		rest.Severity, rest.Summary, rest.Detail = router.SeverityError, fmt.Sprintf("%d more mistakes follow", more), ""
		ds = append(ds[:maxDiagnostics:maxDiagnostics], rest)
	}
	return ds
}

// Report is what `validate -o json` prints.
type Report struct {
	Valid       bool        `json:"valid"`
	Diagnostics Diagnostics `json:"diagnostics"`
}

// NewReport is valid where ds holds nothing but warnings.
func NewReport(ds Diagnostics) Report {
	return Report{Valid: len(ds.Errors()) == 0, Diagnostics: ds}
}

type jsonPos struct {
	Line   int `json:"line"`
	Column int `json:"column"`
}

type jsonRange struct {
	Filename string  `json:"filename"`
	Start    jsonPos `json:"start"`
	End      jsonPos `json:"end"`
}

// MarshalJSON writes an array, also of none.
func (ds Diagnostics) MarshalJSON() ([]byte, error) {
	return json.Marshal(append([]Diagnostic{}, ds...))
}

// MarshalJSON writes the form that is documented for `validate -o json`.
func (d Diagnostic) MarshalJSON() ([]byte, error) {
	return json.Marshal(struct {
		Severity router.Severity `json:"severity"`
		Summary  string          `json:"summary"`
		Detail   string          `json:"detail"`
		Range    jsonRange       `json:"range"`
	}{d.Severity, d.Summary, d.Detail, jsonRange{
		Filename: d.Range.Filename,
		Start:    jsonPos{d.Range.Start.Line, d.Range.Start.Column},
		End:      jsonPos{d.Range.End.Line, d.Range.End.Column},
	}})
}
