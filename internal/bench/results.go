package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"

	"golang.org/x/perf/benchfmt"
)

// resultsDir holds a file for each measurement, in the format of Go's
// benchmarks, so that benchstat reads it: a line for each round of each figure.
const resultsDir = "docs/performance"

// results are a measurement's figures, and where and when they were taken.
type results struct {
	figures []figure
	machine map[string]string // by the keys of machineKeys
}

// machineKeys are what is noted of where a measurement ran.
var machineKeys = []string{"date", "goos", "goarch", "cpu", "cores", "go", "commit"}

// thisMachine is where we are.
func thisMachine() map[string]string {
	commit, _ := exec.Command("git", "describe", "--always", "--dirty", "--exclude=*").Output()
	return map[string]string{
		"date": time.Now().UTC().Format(time.DateOnly), "goos": runtime.GOOS, "goarch": runtime.GOARCH, "cpu": processor(),
		"cores": strconv.Itoa(runtime.NumCPU()), "go": runtime.Version(), "commit": strings.TrimSpace(string(commit)),
	}
}

// processor is the model's name, where the system tells it.
func processor() string {
	text, _ := os.ReadFile("/proc/cpuinfo")
	for line := range strings.Lines(string(text)) {
		if key, name, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(key) == "model name" {
			return strings.TrimSpace(name)
		}
	}
	return "unknown"
}

// write puts a measurement's results where read finds them.
func (r results) write(measurement string) error {
	if err := os.MkdirAll(resultsDir, 0o755); err != nil {
		return err
	}
	file, err := os.Create(filepath.Join(resultsDir, measurement+".txt"))
	if err != nil {
		return err
	}
	err = r.encode(file, measurement)
	return errors.Join(err, file.Close())
}

func (r results) encode(w io.Writer, measurement string) error {
	lines := benchfmt.NewWriter(w)
	for _, f := range r.figures {
		var line benchfmt.Result
		set := func(key, value string) {
			line.Config = append(line.Config, benchfmt.Config{Key: key, Value: []byte(value), File: true})
		}
		for _, key := range machineKeys {
			set(key, r.machine[key])
		}
		set("name", f.name)
		set("detail", f.detail)
		if f.aim != 0 {
			set("aim", strconv.FormatFloat(f.aim, 'g', -1, 64))
			set("aim-is", map[bool]string{true: "at most", false: "at least"}[f.atMost])
		}
		line.Name = benchfmt.Name(benchmarkName(measurement) + "/" + f.slug)
		line.Iters = 1
		for n, v := range f.values {
			line.Values = []benchfmt.Value{{Value: rounded(v), Unit: unitName(f.unit)}}
			if n < len(f.sides.subject) {
				line.Values = append(line.Values,
					benchfmt.Value{Value: float64(f.sides.subject[n]), Unit: "subject-ns"},
					benchfmt.Value{Value: float64(f.sides.baseline[n]), Unit: "baseline-ns"})
			}
			if err := lines.Write(&line); err != nil {
				return err
			}
		}
	}
	return nil
}

// rounded leaves as many digits as a measurement can mean.
func rounded(v float64) float64 {
	r, _ := strconv.ParseFloat(strconv.FormatFloat(v, 'g', 5, 64), 64)
	return r
}

// benchmarkName is a measurement's as Go writes it: KubeGet for kube-get.
func benchmarkName(measurement string) string {
	var name strings.Builder
	for word := range strings.SplitSeq(measurement, "-") {
		name.WriteString(strings.ToUpper(word[:1]) + word[1:])
	}
	return name.String()
}

// unitName is the unit as it stands in a file, where it can't be empty.
func unitName(unit string) string {
	if unit == "" {
		return "count"
	}
	return unit
}

// read gives what write wrote; none where the measurement was never taken.
func read(measurement string) (results, error) {
	file, err := os.Open(filepath.Join(resultsDir, measurement+".txt"))
	if errors.Is(err, fs.ErrNotExist) {
		return results{}, nil
	}
	if err != nil {
		return results{}, err
	}
	defer file.Close()
	return decode(file)
}

func decode(r io.Reader) (results, error) {
	var all results
	lines := benchfmt.NewReader(r, "")
	for lines.Scan() {
		switch line := lines.Result().(type) {
		case *benchfmt.SyntaxError:
			return results{}, line
		case *benchfmt.Result:
			if err := all.add(line); err != nil {
				return results{}, err
			}
		}
	}
	return all, lines.Err()
}

func (r *results) add(line *benchfmt.Result) error {
	if r.machine == nil {
		r.machine = map[string]string{}
		for _, key := range machineKeys {
			r.machine[key] = line.GetConfig(key)
		}
	}
	_, slug, _ := strings.Cut(line.Name.String(), "/")
	if n := len(r.figures); n == 0 || r.figures[n-1].slug != slug {
		f := figure{slug: slug, name: line.GetConfig("name"), detail: line.GetConfig("detail"), atMost: line.GetConfig("aim-is") == "at most"}
		if aim := line.GetConfig("aim"); aim != "" {
			var err error
			if f.aim, err = strconv.ParseFloat(aim, 64); err != nil {
				return fmt.Errorf("the aim of %s: %w", line.Name, err)
			}
		}
		r.figures = append(r.figures, f)
	}
	f := &r.figures[len(r.figures)-1]
	for _, v := range line.Values {
		if v.OrigUnit != "" { // benchfmt makes seconds of nanoseconds
			v.Value, v.Unit = v.OrigValue, v.OrigUnit
		}
		switch v.Unit {
		case "subject-ns":
			f.sides.subject = append(f.sides.subject, time.Duration(v.Value))
		case "baseline-ns":
			f.sides.baseline = append(f.sides.baseline, time.Duration(v.Value))
		case "count":
			f.values = append(f.values, v.Value)
		default:
			f.unit, f.values = v.Unit, append(f.values, v.Value)
		}
	}
	return nil
}
