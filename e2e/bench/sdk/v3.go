package main

import (
	"bytes"
	"fmt"
	"strings"

	"helm.sh/helm/v3/pkg/chart/loader"
	"helm.sh/helm/v3/pkg/chartutil"
	"helm.sh/helm/v3/pkg/engine"
	"helm.sh/helm/v3/pkg/releaseutil"
)

// loadV3 is loadV4 with Helm 3's packages.
func loadV3(archive []byte) (func() (string, error), error) {
	chart, err := loader.LoadArchive(bytes.NewReader(archive))
	if err != nil {
		return nil, err
	}
	return func() (string, error) {
		values := map[string]any{}
		if err := chartutil.ProcessDependencies(chart, values); err != nil {
			return "", err
		}
		capabilities := chartutil.DefaultCapabilities.Copy()
		capabilities.KubeVersion = chartutil.KubeVersion{Version: "v1.31.0", Major: "1", Minor: "31"}
		release := chartutil.ReleaseOptions{Name: "bench", Namespace: "default", Revision: 1, IsInstall: true}
		top, err := chartutil.ToRenderValues(chart, values, release, capabilities)
		if err != nil {
			return "", err
		}
		files, err := engine.Render(chart, top)
		if err != nil {
			return "", err
		}
		for path := range files {
			if strings.HasSuffix(path, "NOTES.txt") {
				delete(files, path)
			}
		}
		hooks, manifests, err := releaseutil.SortManifests(files, nil, releaseutil.InstallOrder)
		if err != nil {
			return "", err
		}
		var text strings.Builder
		for _, manifest := range manifests {
			fmt.Fprintf(&text, "---\n# Source: %s\n%s\n", manifest.Name, manifest.Content)
		}
		for _, hook := range hooks {
			fmt.Fprintf(&text, "---\n# Source: %s\n%s\n", hook.Path, hook.Manifest)
		}
		return text.String(), nil
	}, nil
}
