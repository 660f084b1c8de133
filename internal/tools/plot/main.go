// Command plot draws what operations cost as things grow: of a file of results
// in the format of Go's benchmarks, the lines named …/op=NAME/AXIS=SIZE, one
// picture for each axis.
//
//	plot -out DIR FILE
//
// It writes DIR/growth-AXIS.svg. Both scales are logarithmic, so that what is
// constant is level and what is linear rises by a decade with each decade.
package main

import (
	"errors"
	"flag"
	"fmt"
	"image/color"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/perf/benchfmt"
	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	_ "gonum.org/v1/plot/vg/vgsvg" // the format of the pictures
)

func main() {
	out := flag.String("out", ".", "directory to write to")
	flag.Parse()
	if err := run(*out, flag.Arg(0)); err != nil {
		fmt.Fprintln(os.Stderr, "plot:", err)
		os.Exit(1)
	}
}

func run(out, file string) error {
	axes, err := read(file)
	if err != nil {
		return err
	}
	if len(axes) == 0 {
		return fmt.Errorf("%s has no lines named …/op=NAME/AXIS=SIZE", file)
	}
	named := map[string]bool{}
	for _, costs := range axes {
		for op := range costs {
			named[op] = true
		}
	}
	ops := slices.Sorted(maps.Keys(named))
	for name, costs := range axes {
		if err := drawAxis(filepath.Join(out, "growth-"+name+".svg"), name, ops, costs); err != nil {
			return err
		}
	}
	return nil
}

// costs are of an operation at a size, one a round.
type costs map[string]map[float64][]float64

// read gives the costs along each axis.
func read(file string) (map[string]costs, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	axes := map[string]costs{}
	lines := benchfmt.NewReader(f, file)
	for lines.Scan() {
		line, ok := lines.Result().(*benchfmt.Result)
		if !ok {
			continue
		}
		_, parts := line.Name.Parts()
		if len(parts) != 2 {
			continue
		}
		op, isOp := strings.CutPrefix(string(parts[0]), "/op=")
		axis, size, sized := strings.Cut(strings.TrimPrefix(string(parts[1]), "/"), "=")
		n, err := strconv.ParseFloat(size, 64)
		if !isOp || !sized || err != nil {
			continue
		}
		if axes[axis] == nil {
			axes[axis] = costs{}
		}
		if axes[axis][op] == nil {
			axes[axis][op] = map[float64][]float64{}
		}
		axes[axis][op][n] = append(axes[axis][op][n], line.Values[0].Value)
	}
	return axes, lines.Err()
}

// colours tell ten lines apart, on white and on black.
var colours = []color.RGBA{
	{R: 31, G: 119, B: 180, A: 255}, {R: 255, G: 127, B: 14, A: 255}, {R: 44, G: 160, B: 44, A: 255}, {R: 214, G: 39, B: 40, A: 255},
	{R: 148, G: 103, B: 189, A: 255}, {R: 140, G: 86, B: 75, A: 255}, {R: 227, G: 119, B: 194, A: 255}, {R: 127, G: 127, B: 127, A: 255},
	{R: 188, G: 189, B: 34, A: 255}, {R: 23, G: 190, B: 207, A: 255},
}

// drawAxis draws those of the operations that have costs along an axis. One has
// the same colour in each picture.
func drawAxis(file, axis string, ops []string, all costs) error {
	p := plot.New()
	p.X.Label.Text, p.Y.Label.Text = axis, "µs a call, median"
	p.X.Scale, p.Y.Scale = plot.LogScale{}, plot.LogScale{}
	p.X.Tick.Marker, p.Y.Tick.Marker = decades{}, decades{}
	p.Y.Min = 1 // room for the legend under the lines
	p.Legend.Left = true
	p.Add(plotter.NewGrid())
	for i, op := range ops {
		if all[op] == nil {
			continue
		}
		var points plotter.XYs
		for _, size := range slices.Sorted(maps.Keys(all[op])) {
			values := slices.Sorted(slices.Values(all[op][size]))
			points = append(points, plotter.XY{X: size, Y: values[len(values)/2]})
		}
		line, dots, err := plotter.NewLinePoints(points)
		if err != nil {
			return fmt.Errorf("%s over %s: %w", op, axis, err)
		}
		line.Color, dots.Color = colours[i%len(colours)], colours[i%len(colours)]
		line.Width, dots.Shape = vg.Points(1.5), draw.CircleGlyph{}
		p.Add(line, dots)
		p.Legend.Add(op, line, dots)
	}
	picture, err := p.WriterTo(7*vg.Inch, 4.5*vg.Inch, "svg")
	if err != nil {
		return err
	}
	f, err := os.Create(file)
	if err != nil {
		return err
	}
	_, err = picture.WriteTo(f)
	return errors.Join(err, f.Close())
}

// decades are ticks at the powers of ten.
type decades struct{}

// Ticks implements plot.Ticker.
func (decades) Ticks(low, high float64) []plot.Tick {
	var ticks []plot.Tick
	for n := 1.0; n <= high*1.001; n *= 10 {
		if n >= low*0.999 {
			ticks = append(ticks, plot.Tick{Value: n, Label: strconv.FormatFloat(n, 'f', -1, 64)})
		}
	}
	return ticks
}
