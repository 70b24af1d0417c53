//! The hosts of a world: what runs on each, and what the world keeps hold of.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use swarm::election::Elector;
use swarm::manager::Manager;
use swarm::platform::{Platform, SharedPlatform};
use swarm_core::address::HostPort;
use swarm_core::cluster::HostInfo;
use swarm_core::config::{Manage, RawDiscovery, RawManage};
use swarm_core::rng::Random;
use swarm_core::watch;
use swarm_models::{BoxIo, Service};
use turmoil::Sim;
use turmoil::net::TcpListener;

use crate::clock::HostClock;
use crate::platform::{Outside, SimPlatform};
use crate::world::{MANAGER_PORT, STORE, STORE_PORT};

/// What the world sees of one manager process: nothing when it does not run.
pub(crate) type Seat = Rc<RefCell<Option<Arc<Elector>>>>;

pub(crate) struct ManagerHost {
    pub(crate) name: String,
    pub(crate) seat: Seat,
    pub(crate) stop: watch::Sender<bool>,
}

/// A platform with a clock of its own within `error_ppm` of the true rate.
pub(crate) fn platform(random: &Random, error_ppm: u32, outside: &Outside) -> SimPlatform {
    let mut draw = random.fork("clock");
    let rate =
        i64::try_from(draw.below(2 * u64::from(error_ppm) + 1)).unwrap_or(0) - i64::from(error_ppm);
    let clock = HostClock {
        offset: draw.below(1 << 50),
        rate_ppm: i32::try_from(rate).unwrap_or(0),
        wall_offset_seconds: i64::try_from(draw.below(7_200)).unwrap_or(0) - 3_600,
    };
    SimPlatform::new(clock, outside.clone(), random.clone())
}

/// A host that serves a double. It is made on the host, since its timers run there.
pub(crate) fn serve(
    sim: &mut Sim<'static>,
    name: &str,
    port: u16,
    double: impl Fn() -> Arc<dyn Service> + 'static,
) {
    sim.host(name, move || {
        let service = double();
        async move {
            let listener = TcpListener::bind(("0.0.0.0", port)).await?;
            loop {
                let (stream, _) = listener.accept().await?;
                tokio::task::spawn_local(service.serve(Box::new(stream) as BoxIo));
            }
        }
    });
}

pub(crate) fn add_manager(
    sim: &mut Sim<'static>,
    name: &str,
    platform: SimPlatform,
    lease: Duration,
) -> ManagerHost {
    let seat: Seat = Rc::default();
    let (stop, stopping) = watch::channel(false);
    let host = ManagerHost {
        name: name.to_owned(),
        seat: seat.clone(),
        stop,
    };
    let (name, lives) = (name.to_owned(), Rc::new(RefCell::new(0_u32)));
    sim.host(name.clone(), move || {
        *lives.borrow_mut() += 1;
        let instance = platform
            .random(&format!("instance/{}", lives.borrow()))
            .hex(16);
        let platform: SharedPlatform = Arc::new(platform.clone());
        let (seat, name, mut stopping) = (seat.clone(), name.clone(), stopping.clone());
        async move {
            let config = manage_config(&name, lease)?;
            let manager =
                Manager::start(&platform, &config, &instance, HostInfo::default()).await?;
            *seat.borrow_mut() = manager.elector().cloned();
            stopping.wait_for(|stop| *stop).await?;
            manager.stop().await;
            seat.borrow_mut().take();
            // A process that ended does nothing more; turmoil would take the end of a host for an error of the run.
            std::future::pending().await
        }
    });
    host
}

/// Goes through the same parsing as the command line.
fn manage_config(name: &str, lease: Duration) -> Result<Manage, Box<dyn std::error::Error>> {
    let advertise: HostPort = format!("{name}:{MANAGER_PORT}").parse()?;
    let raw = RawManage {
        hosts: vec![format!(":{MANAGER_PORT}")],
        replication: true,
        replication_ttl: format!("{}ms", lease.as_millis()),
        advertise: Some(advertise.to_string()),
        discovery: RawDiscovery {
            arguments: vec![format!("consul://{STORE}:{STORE_PORT}/nodes")],
            ..RawDiscovery::default()
        },
        ..RawManage::default()
    };
    Ok(Manage::try_from(raw)?)
}
