// Command judge is `helm template` for many charts: it reads cases as lines of JSON and answers each with what helm
// would print or say, in one process, because starting helm costs far more than rendering a small chart.
//
// It is what helm's `template` command does (pkg/cmd/template.go and install.go:runInstall) with the flags that the
// fuzzer uses. The fuzzer compares some of its answers with the helm program itself.
package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"log/slog"
	"os"
	"runtime/debug"
	"strings"

	"github.com/spf13/pflag"
	"helm.sh/helm/v4/pkg/action"
	"helm.sh/helm/v4/pkg/chart"
	"helm.sh/helm/v4/pkg/chart/loader"
	"helm.sh/helm/v4/pkg/cli"
	"helm.sh/helm/v4/pkg/cli/values"
	"helm.sh/helm/v4/pkg/getter"
	release "helm.sh/helm/v4/pkg/release/v1"
)

// A question is the arguments after `helm template`.
type question struct {
	Args []string `json:"args"`
}

type answer struct {
	OK     bool   `json:"ok"`
	Output []byte `json:"output,omitempty"`
	Error  string `json:"error,omitempty"`
	// Panic tells a crash of helm from an error.
	Panic bool `json:"panic,omitempty"`
}

func main() {
	// A value inside itself uses up Go's gigabyte of stack and the process with it; a smaller one is used up sooner.
	debug.SetMaxStack(64 << 20)
	slog.SetDefault(slog.New(slog.DiscardHandler))
	log.SetOutput(io.Discard)
	in, out := bufio.NewScanner(os.Stdin), json.NewEncoder(os.Stdout)
	in.Buffer(nil, 64<<20)
	for in.Scan() {
		var q question
		if err := json.Unmarshal(in.Bytes(), &q); err != nil {
			fmt.Fprintln(os.Stderr, "judge:", err)
			os.Exit(1)
		}
		if err := out.Encode(judge(q.Args)); err != nil {
			os.Exit(1)
		}
	}
}

func judge(args []string) (a answer) {
	defer func() {
		if crash := recover(); crash != nil {
			a = answer{Error: fmt.Sprint("panic: ", crash), Panic: true}
		}
	}()
	output, err := template(args)
	if err != nil {
		return answer{Error: err.Error()}
	}
	return answer{OK: true, Output: output}
}

func template(args []string) ([]byte, error) {
	client := action.NewInstall(action.NewConfiguration())
	client.DryRunStrategy = action.DryRunClient
	client.Replace = true
	var options values.Options
	flags := pflag.NewFlagSet("template", pflag.ContinueOnError)
	flags.StringVarP(&client.Namespace, "namespace", "n", "default", "")
	flags.StringSliceVarP(&options.ValueFiles, "values", "f", nil, "")
	flags.StringArrayVar(&options.Values, "set", nil, "")
	flags.StringArrayVar(&options.StringValues, "set-string", nil, "")
	flags.StringArrayVar(&options.FileValues, "set-file", nil, "")
	flags.StringArrayVar(&options.JSONValues, "set-json", nil, "")
	flags.StringArrayVar(&options.LiteralValues, "set-literal", nil, "")
	flags.BoolVar(&client.IncludeCRDs, "include-crds", false, "")
	flags.BoolVar(&client.IsUpgrade, "is-upgrade", false, "")
	if err := flags.Parse(args); err != nil {
		return nil, err
	}
	name, path, err := client.NameAndChart(flags.Args())
	if err != nil {
		return nil, err
	}
	client.ReleaseName = name
	merged, err := options.MergeValues(getter.All(cli.New()))
	if err != nil {
		return nil, err
	}
	requested, err := loader.Load(path)
	if err != nil {
		return nil, err
	}
	accessor, err := chart.NewAccessor(requested)
	if err != nil {
		return nil, err
	}
	if kind := accessor.MetadataAsMap()["Type"]; kind != "" && kind != "application" {
		return nil, fmt.Errorf("%s charts are not installable", kind)
	}
	if wanted := accessor.MetaDependencies(); len(wanted) > 0 {
		if err := action.CheckDependencies(requested, wanted); err != nil {
			return nil, fmt.Errorf("an error occurred while checking for chart dependencies. You may need to run "+
				"'helm dependency build' to fetch missing dependencies: %w", err)
		}
	}
	result, err := client.RunWithContext(context.Background(), requested, merged)
	if err != nil {
		return nil, err
	}
	rel, ok := result.(*release.Release)
	if !ok {
		return nil, errors.New("not a release of Helm 4's first version")
	}
	var text bytes.Buffer
	fmt.Fprintln(&text, strings.TrimSpace(rel.Manifest))
	for _, hook := range rel.Hooks {
		fmt.Fprintf(&text, "---\n# Source: %s\n%s\n", hook.Path, hook.Manifest)
	}
	return text.Bytes(), nil
}
