//! Pillions behind a balancer, and what they share.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use pillion_test_support::balancer::Balancer;
use pillion_test_support::free_port;
use pillion_test_support::process::Process;
use pillion_test_support::redis::Redis;

use crate::server::Server;
use crate::stores::{Database, RedisFigures, redis_figures};
use crate::tools::{Fallible, Folder, cpu_ticks, memory_kib, metric, program, send_alone};

/// What all replicas share: configuration, upstream and handler, PostgreSQL, Redis.
pub struct Surroundings {
    folder: Folder,
    server: Server,
    pub database: Database,
    pub redis: Redis,
}

/// Ticks of 10 ms.
const TICK_US: f64 = 10_000.0;

impl Surroundings {
    pub fn start() -> Fallible<Self> {
        let (folder, server, redis) = (Folder::new("scale")?, Server::start()?, Redis::start());
        let handler = format!("http://127.0.0.1:{}/handler", server.port);
        let mut yaml = String::from("actions:\n");
        for name in ["act", "limited", "cached"] {
            yaml += &format!("  - {{name: {name}, definition: {{handler: '{handler}'}}}}\n");
        }
        yaml += &format!("  - {{name: later, definition: {{kind: asynchronous, handler: '{handler}'}}}}\n");
        fs::write(folder.0.join("actions.yaml"), yaml)?;
        let sdl = "type Done { ok: Boolean! }\ntype Query { act: Done! limited: Done! cached(key: Int!): Done! }\n\
                   type Mutation { later: Done! }\n";
        fs::write(folder.0.join("actions.graphql"), sdl)?;
        let config = format!(
            "dialect: standard\nintrospection: {{ mode: upstream }}\nredis: {{ url: 'redis://127.0.0.1:{}' }}\n\
             actions:\n  limited: {{ rate_limit: 500 per 1h }}\n  cached: {{ cache: {{ ttl: 1h }} }}\n\
             jobs: {{ lease_duration: 3s }}\n",
            redis.port
        );
        fs::write(folder.0.join("pillion.yaml"), config)?;
        Ok(Self { folder, server, database: Database::start(), redis })
    }

    pub fn redis_figures(&self) -> Fallible<RedisFigures> {
        redis_figures(&self.redis)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.0.join(name)
    }
}

/// One that runs.
struct Replica {
    admin: u16,
    process: Process,
}

/// Those that run, and the ports of all, also of those that may be added.
pub struct Replicas {
    running: Vec<Replica>,
    ports: Vec<(u16, u16)>,
    balancer: Balancer,
}

impl Replicas {
    pub fn start(surroundings: &Surroundings, count: usize, total: usize) -> Fallible<Self> {
        let ports: Vec<(u16, u16)> = (0..total).map(|_| (free_port(), free_port())).collect();
        let running = ports.iter().take(count).map(|ports| Replica::start(surroundings, *ports));
        let running = running.collect::<Fallible<Vec<_>>>()?;
        let balancer = Balancer::start(&ports);
        Ok(Self { running, ports, balancer })
    }

    pub fn port(&self) -> u16 {
        self.balancer.port
    }

    pub fn kill_first(&mut self) -> Fallible<()> {
        if self.running.is_empty() {
            return Err("none runs".into());
        }
        drop(self.running.remove(0));
        Ok(())
    }

    pub fn add(&mut self, surroundings: &Surroundings, index: usize) -> Fallible<()> {
        self.running.push(Replica::start(surroundings, self.ports[index])?);
        Ok(())
    }

    /// Processor time of all of them.
    pub fn cpu_micros(&self) -> Fallible<f64> {
        self.running.iter().map(|replica| Ok(cpu_ticks(&replica.process)? * TICK_US)).sum()
    }

    pub fn balancer_cpu_micros(&self) -> Fallible<f64> {
        Ok(cpu_ticks(&self.balancer.process)? * TICK_US)
    }

    pub fn total_memory_kib(&self) -> Fallible<u64> {
        self.running.iter().map(|replica| memory_kib(&replica.process, "VmRSS")).sum()
    }

    /// Of one, at the mean.
    pub fn memory_mib(&self) -> Fallible<f64> {
        Ok(self.total_memory_kib()? as f64 / 1024.0 / self.running.len() as f64)
    }

    pub fn each_metric(&self, name: &str) -> Fallible<Vec<f64>> {
        self.running.iter().map(|replica| metric(replica.admin, name)).collect()
    }

    pub fn metric(&self, name: &str) -> Fallible<f64> {
        Ok(self.each_metric(name)?.iter().sum())
    }
}

impl Replica {
    fn start(surroundings: &Surroundings, (port, admin): (u16, u16)) -> Fallible<Self> {
        let mut command = Command::new(program());
        command.arg("serve").arg(format!("--upstream=http://127.0.0.1:{}", surroundings.server.port));
        command.arg("--metadata").arg(&surroundings.folder.0).arg("--config").arg(surroundings.path("pillion.yaml"));
        command.arg(format!("--listen=127.0.0.1:{port}")).arg(format!("--admin-listen=127.0.0.1:{admin}"));
        command.arg("--log-level=error").env("PILLION_JOBS_STORE", surroundings.database.url());
        let process = Process(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn()?);
        let begun = Instant::now();
        while !send_alone(admin, "GET", "/readyz", "").is_ok_and(|response| response.status() == 200) {
            if begun.elapsed() > Duration::from_secs(20) {
                return Err("a replica does not get ready".into());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(Self { admin, process })
    }
}
