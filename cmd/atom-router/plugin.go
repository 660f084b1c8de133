package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/atom-router/atom-router/plugin"
	"github.com/atom-router/atom-router/router"
	"github.com/atom-router/atom-router/router/config"
)

func (a *app) pluginCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "plugin", Short: "Look at and examine engine plugins", Args: unknownVerb,
		Example: "  atom-router plugin describe docker\n  atom-router plugin test ./bin/atom-plugin-process",
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(a.describeCommand(), a.testCommand(), a.probeCommand())
	return cmd
}

func (a *app) describeCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "describe NAME-OR-PATH",
		Short: "Show what a plugin is, can do, and may be configured with",
		Long:  "Launch a plugin, given by its name in configs or by the path of its binary, and show what it tells of itself.",
		Example: `  atom-router plugin describe docker
  atom-router plugin describe ./bin/atom-plugin-docker -o json`,
		Args: exactly(1, "NAME-OR-PATH"),
		RunE: func(cmd *cobra.Command, args []string) error {
			command, err := a.findPlugin(args[0])
			if err != nil {
				return err
			}
			ctx, stop := untilInterrupted(cmd.Context())
			defer stop()
			p, err := plugin.Launch(ctx, plugin.LaunchOptions{Name: args[0], Path: command[0], Args: command[1:]})
			if err != nil {
				return err
			}
			defer p.Close()
			if a.output == outputJSON {
				return a.printJSON(p.Description())
			}
			return a.printDescription(p.Description())
		},
	}
}

// findPlugin is the command line of a plugin: a path is one, a name is looked
// for where a router with this config would.
func (a *app) findPlugin(nameOrPath string) ([]string, error) {
	if strings.ContainsRune(nameOrPath, '/') {
		return []string{nameOrPath}, nil
	}
	builtin, err := embedded()
	if err != nil {
		return nil, err
	}
	var dirs []string
	// Without a config there is no plugin_dir, which is no mistake here.
	if path, err := config.Find(a.configPath); err == nil {
		file, err := a.readFile(path)
		if err != nil {
			return nil, err
		}
		dirs = file.Config.PluginDirs
	}
	return router.FindPlugin(nameOrPath, dirs, builtin)
}

func (a *app) printDescription(d plugin.Description) error {
	fmt.Fprintf(a.stdout, "%s %s, protocol %s\n", d.Name, d.Version, d.Protocol)
	if len(d.Capabilities) > 0 {
		names := make([]string, len(d.Capabilities))
		for i, c := range d.Capabilities {
			names[i] = string(c)
		}
		fmt.Fprintf(a.stdout, "Can do at most: %s\n", strings.Join(names, ", "))
	}
	if len(d.Env) > 0 {
		fmt.Fprintf(a.stdout, "Takes from the environment: %s\n", strings.Join(d.Env, ", "))
	}
	fmt.Fprintln(a.stdout, "\nSettings:")
	return a.table("NAME\tTYPE\tDEFAULT\tWHAT", func(w io.Writer) { printSchema(w, "", d.Schema) })
}

func printSchema(w io.Writer, prefix string, s plugin.Schema) {
	for _, attr := range s.Attributes {
		def := attr.Default
		if attr.Required {
			def = "required"
		}
		doc := attr.Doc
		if attr.Sensitive {
			doc = strings.TrimSpace(doc + " (never printed)")
		}
		row(w, prefix+attr.Name, typeText(attr.Type), def, doc)
	}
	for _, b := range s.Blocks {
		name := prefix + b.Type
		for _, l := range b.Labels {
			name += fmt.Sprintf(" %q", cmp.Or(l, "…"))
		}
		kind := "block"
		if b.Repeated {
			kind = "blocks"
		}
		row(w, name+" {}", kind, "", b.Doc)
		printSchema(w, prefix+b.Type+".", b.Schema)
	}
}

// typeText is a cty type as people write it: list(string).
func typeText(raw json.RawMessage) string {
	var name string
	if json.Unmarshal(raw, &name) == nil {
		return name
	}
	var pair [2]json.RawMessage
	if json.Unmarshal(raw, &pair) != nil {
		return string(raw)
	}
	return fmt.Sprintf("%s(%s)", typeText(pair[0]), typeText(pair[1]))
}
