package main

import (
	"context"
	"errors"
	"os"
	"os/signal"
	"syscall"

	"github.com/hashicorp/go-hclog"
	"github.com/spf13/cobra"

	"github.com/atom-router/atom-router/internal/daemon"
	"github.com/atom-router/atom-router/router"
	"github.com/atom-router/atom-router/router/config"
)

func (a *app) serveCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "serve",
		Short: "Serve the config's router to others",
		Long: `Serve the config's router to other programs of this machine, and over TLS to
others, until Ctrl-C or SIGTERM. Then no new atoms are taken, Waits and Logs go
on for drain_timeout, and atoms are left as they are; a second Ctrl-C does not
wait. SIGHUP, or atom-router reload, reads the config again.`,
		Example: `  atom-router serve -c /etc/atom-router/config.hcl
  atom-router --address unix:///run/atom-router/engine.sock list`,
		Args: none,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if a.address != "" || a.tls != (router.ClientTLS{}) {
				return usage(errors.New("--address and the --tls flags are for those who ask a daemon; where this one listens the config's listen blocks say"))
			}
			if !cmd.Flags().Changed("log-level") {
				a.logLevel = "info"
			}
			return a.serve(cmd.Context())
		},
	}
}

func (a *app) serve(ctx context.Context) error {
	path, err := config.Find(a.configPath)
	if err != nil {
		return err
	}
	builtin, err := embedded()
	if err != nil {
		return err
	}
	signals, hangups := make(chan os.Signal, 4), make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	defer signal.Stop(signals)
	signal.Notify(hangups, syscall.SIGHUP)
	defer signal.Stop(hangups)
	log := hclog.New(&hclog.LoggerOptions{
		Name: "atom-router", Level: hclog.LevelFromString(a.logLevel), Output: a.stderr, Color: hclog.ColorOff,
	})
	d, err := daemon.Start(ctx, daemon.Options{
		ConfigPath: path, Version: ownSource().version, Tracer: a.tracer,
		Router: router.Options{Logger: log, Builtin: builtin, AllowAttach: a.allowAttach},
	})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	// Beside what follows: new backends may take long to start, and whoever
	// wants the daemon to end does not wait for them.
	go func() { // ends with the program
		for range hangups {
			_, _ = d.Reload(ctx) // its log tells
		}
	}()
	var failed error
	select {
	case s := <-signals:
		log.Info("told to end", "signal", s.String())
	case failed = <-d.Failed():
	}
	go func() { // ends with the program
		for range signals {
			cancel()
		}
	}()
	return errors.Join(failed, d.Stop(ctx))
}

func (a *app) reloadCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "reload",
		Short: "Have a daemon read its config again",
		Long: `Have the daemon read its config again and turn to it. Where that is wrong nothing
changes, and all that is wrong is shown. Without --address it is the daemon of
this machine whose socket the config names.`,
		Example: `  atom-router reload
  atom-router reload --address unix:///run/atom-router/engine.sock`,
		Args: none,
		RunE: func(cmd *cobra.Command, _ []string) error {
			e, err := a.daemonOrOwn()
			if err != nil {
				return err
			}
			ctx, stop := untilInterrupted(cmd.Context())
			defer stop()
			return a.withRemote(ctx, e, func(r *router.Remote) error {
				warnings, err := r.Reload(ctx)
				for _, w := range warnings {
					_, _ = a.stderr.Write([]byte(harmless(w) + "\n")) // nowhere left to say it
				}
				return err
			})
		},
	}
}

// daemonOrOwn is the daemon that is meant, or this machine's.
func (a *app) daemonOrOwn() (router.Endpoint, error) {
	if e, ok := a.endpoint(); ok {
		return e, nil
	}
	address, err := a.ownDaemon()
	return router.Endpoint{Address: address}, err
}

// ownDaemon is where the daemon of the config's file listens.
func (a *app) ownDaemon() (string, error) {
	path, err := config.Find(a.configPath)
	if err == nil {
		// What is wrong in it is the daemon's to say.
		file, _ := config.Read(path)
		for _, l := range file.Serve.Listen {
			if l.Path != "" {
				return l.String(), nil
			}
		}
	}
	socket, err := daemon.DefaultSocket()
	if err != nil {
		return "", usage(errors.New("which daemon? name it by --address"))
	}
	return "unix://" + socket, nil
}
