// Measures what Helm's own library takes, in process, to load a chart's archive and to render it, in CPU time of
// the process (its garbage collector included), and prints one JSON object a line.
//
// Arguments: how many seconds to measure each step for, then archives.
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"
	"strconv"
	"syscall"
	"time"
)

// sdk is one version of Helm's library.
type sdk struct {
	module string
	// load reads an archive's bytes and gives a function that renders what was read, once.
	load func(archive []byte) (func() (manifest string, err error), error)
}

var sdks = []sdk{{"helm.sh/helm/v4", loadV4}, {"helm.sh/helm/v3", loadV3}}

// row is one figure; perf.md calls the steps the same.
type row struct {
	SDK     string  `json:"sdk"`
	Version string  `json:"version"`
	Chart   string  `json:"chart"`
	Bytes   int     `json:"manifest_bytes"`
	Runs    int     `json:"runs"`
	LoadUs  float64 `json:"load_us"`
	AllUs   float64 `json:"load_render_us"`
}

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "Error:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) < 2 {
		return fmt.Errorf("usage: sdk SECONDS ARCHIVE...")
	}
	seconds, err := strconv.ParseFloat(args[0], 64)
	if err != nil {
		return err
	}
	span := time.Duration(seconds * float64(time.Second))
	for _, path := range args[1:] {
		archive, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		for _, sdk := range sdks {
			row, err := measure(sdk, archive, span)
			if err != nil {
				return fmt.Errorf("%s: %s: %w", sdk.module, path, err)
			}
			row.Chart = filepath.Base(path)
			if err := json.NewEncoder(os.Stdout).Encode(row); err != nil {
				return err
			}
		}
	}
	return nil
}

func measure(sdk sdk, archive []byte, span time.Duration) (row, error) {
	found := row{SDK: sdk.module, Version: version(sdk.module)}
	load := func() error {
		_, err := sdk.load(archive)
		return err
	}
	all := func() error {
		render, err := sdk.load(archive)
		if err != nil {
			return err
		}
		manifest, err := render()
		found.Bytes = len(manifest)
		return err
	}
	var err error
	if found.LoadUs, _, err = cpuPerRun(load, span); err != nil {
		return found, err
	}
	found.AllUs, found.Runs, err = cpuPerRun(all, span)
	return found, err
}

// cpuPerRun repeats step for a span after one run to warm up, and gives microseconds of CPU time a run.
func cpuPerRun(step func() error, span time.Duration) (float64, int, error) {
	if err := step(); err != nil {
		return 0, 0, err
	}
	runs := 0
	begun := cpu()
	for cpu()-begun < span {
		if err := step(); err != nil {
			return 0, 0, err
		}
		runs++
	}
	return float64((cpu() - begun).Microseconds()) / float64(runs), runs, nil
}

// cpu is the CPU time of all threads so far.
func cpu() time.Duration {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		panic(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

func version(module string) string {
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, dependency := range info.Deps {
			if dependency.Path == module {
				return dependency.Version
			}
		}
	}
	return "unknown"
}
