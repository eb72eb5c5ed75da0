package main

import (
	"bytes"
	"fmt"
	"strings"

	"helm.sh/helm/v4/pkg/chart/common"
	commonutil "helm.sh/helm/v4/pkg/chart/common/util"
	"helm.sh/helm/v4/pkg/chart/v2/loader"
	chartutil "helm.sh/helm/v4/pkg/chart/v2/util"
	"helm.sh/helm/v4/pkg/engine"
	"helm.sh/helm/v4/pkg/release/v1/util"
)

// loadV4 takes the steps of pkg/action's install and renderResources.
func loadV4(archive []byte) (func() (string, error), error) {
	chart, err := loader.LoadArchive(bytes.NewReader(archive))
	if err != nil {
		return nil, err
	}
	return func() (string, error) {
		values := map[string]any{}
		if err := chartutil.ProcessDependencies(chart, values); err != nil {
			return "", err
		}
		capabilities := common.DefaultCapabilities.Copy()
		capabilities.KubeVersion = common.KubeVersion{Version: "v1.31.0", Major: "1", Minor: "31"}
		release := common.ReleaseOptions{Name: "bench", Namespace: "default", Revision: 1, IsInstall: true}
		top, err := commonutil.ToRenderValues(chart, values, release, capabilities)
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
		hooks, manifests, err := util.SortManifests(files, nil, util.InstallOrder)
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
