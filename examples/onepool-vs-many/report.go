package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"slices"
	"time"

	"github.com/agentagency/onepool/examples/internal/measure"
)

// comparison holds the rounds of a load or of a pool size.
type comparison struct {
	label     string
	load      load
	old, ours world

	olds, ourss [][measurements]result // results of each round
}

// runRound runs both worlds once. The order of the worlds changes with every round.
func (c *comparison) runRound(ctx context.Context, server *measure.Server, round int, window time.Duration) error {
	runs := []struct {
		world   world
		results *[][measurements]result
	}{{c.old, &c.olds}, {c.ours, &c.ourss}}
	for i := range runs {
		r := runs[(i+round)%2]
		res, err := measureOnce(ctx, server, r.world, c.load, window)
		if err != nil {
			return err
		}
		*r.results = append(*r.results, res)
	}
	return nil
}

// values returns the figure of every round in both worlds.
func (c *comparison) values(measurement, figure int) (old, ours []float64) {
	for i := range c.olds {
		old = append(old, c.olds[i][measurement][figure])
		ours = append(ours, c.ourss[i][measurement][figure])
	}
	return old, ours
}

// report is the output of a run.
type report struct {
	title, note string
	all         []comparison
}

// headings name the measurements.
var headings = [measurements]string{fresh: "After a start", warm: "Every connection has every statement ready"}

// writeTables writes a table for each measurement.
func (r report) writeTables(out io.Writer) error {
	for m, heading := range headings {
		fmt.Fprintf(out, "\n%s\n\n", heading)
		if err := measure.WriteTable(out, r.table(m)); err != nil {
			return err
		}
	}
	return nil
}

// table returns a row for each known figure. A cell holds the ratio of ours to old, and both
// medians, of a comparison.
func (r report) table(measurement int) [][]string {
	rows := [][]string{{"ours / old (old → ours)"}}
	for _, c := range r.all {
		rows[0] = append(rows[0], c.label)
	}
	for figure, title := range titles {
		row, known := []string{title}, false
		for _, c := range r.all {
			old, ours := c.values(measurement, figure)
			cell := "-"
			if before, after := measure.Median(old), measure.Median(ours); !math.IsNaN(before + after) {
				cell = fmt.Sprintf("%s (%s → %s)", measure.Number(measure.PairedRatio(ours, old)), measure.Number(before), measure.Number(after))
				known = true
			}
			row = append(row, cell)
		}
		if known {
			rows = append(rows, row)
		}
	}
	return rows
}

// chart returns bars of the medians: the measurement after a start on the left, the warm
// measurement on the right.
func (r report) chart() measure.Chart {
	c := measure.Chart{Title: r.title, Note: r.note, Old: r.all[0].old.name, Ours: "one pool"}
	for _, figure := range []int{throughput, p99, serverCPU, memory} {
		for m := range headings {
			p := measure.Panel{Title: titles[figure] + []string{" (after a start)", " (warm)"}[m]}
			for _, one := range r.all {
				old, ours := one.values(m, figure)
				p.Groups = append(p.Groups, measure.Group{Label: one.label, Old: measure.Median(old), Ours: measure.Median(ours)})
			}
			if !slices.ContainsFunc(p.Groups, func(g measure.Group) bool { return math.IsNaN(g.Old) }) {
				c.Panels = append(c.Panels, p)
			}
		}
	}
	return c
}

func (r report) draw(svg string) error {
	file, err := os.Create(svg)
	if err != nil {
		return fmt.Errorf("-svg: %w", err)
	}
	if err := errors.Join(r.chart().WriteSVG(file), file.Close()); err != nil {
		return fmt.Errorf("-svg: %w", err)
	}
	return nil
}
