package testenv

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"time"
)

// serves reports whether a part is ready.
func (c *Cluster) serves(ctx context.Context, name string) error {
	switch name {
	case Etcd:
		return ok(ctx, http.DefaultClient, "http://127.0.0.1:"+strconv.Itoa(c.ports.etcd)+"/health")
	case APIServer:
		_, err := c.get(ctx, "/readyz")
		return err
	case Containerd:
		conn, err := net.Dial("unix", c.socket())
		if err == nil {
			conn.Close()
		}
		return err
	case Kubelet:
		return ok(ctx, http.DefaultClient, "http://127.0.0.1:"+strconv.Itoa(c.ports.kubeletHealth)+"/healthz")
	}
	return nil // of the others nothing is asked but that they work on
}

func ok(ctx context.Context, client *http.Client, url string) error {
	_, err := fetch(ctx, client, url, "")
	return err
}

func fetch(ctx context.Context, client *http.Client, url, token string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := client.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", resp.Status, tail(body))
	}
	return body, err
}

// get asks the API server as its administrator.
func (c *Cluster) get(ctx context.Context, path string) ([]byte, error) {
	authority, err := os.ReadFile(c.path("pki/apiserver.crt"))
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(authority) {
		return nil, errors.New("the API server's certificate is none")
	}
	transport := &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{RootCAs: pool}}
	return fetch(ctx, &http.Client{Transport: transport}, "https://127.0.0.1:"+strconv.Itoa(c.ports.apiServer)+path, token)
}

// awaitNode returns when pods can be made, and there is a node to run them.
func (c *Cluster) awaitNode(ctx context.Context) error {
	return c.parts[Kubelet].await(ctx, func(ctx context.Context) error {
		if _, err := c.get(ctx, "/api/v1/namespaces/default/serviceaccounts/default"); err != nil {
			return err
		}
		text, err := c.get(ctx, "/api/v1/nodes/"+nodeName)
		if err != nil {
			return err
		}
		var node struct {
			Status struct {
				Conditions []struct{ Type, Status, Message string }
			}
		}
		if err := json.Unmarshal(text, &node); err != nil {
			return err
		}
		for _, cond := range node.Status.Conditions {
			if cond.Type == "Ready" && cond.Status == "True" {
				return nil
			} else if cond.Type == "Ready" {
				return errors.New(cond.Message)
			}
		}
		return errors.New("the node is not there yet")
	})
}

// answers reports whether a cluster that an earlier program started works.
func (c *Cluster) answers(ctx context.Context) bool {
	text, err := os.ReadFile(c.path("port"))
	if err != nil {
		return false
	}
	if c.ports.apiServer, err = strconv.Atoi(string(text)); err != nil {
		return false
	}
	_, err = c.get(ctx, "/readyz")
	return err == nil
}
