"""An authenticated read of one service, as FastAPI on uvicorn with the SQLAlchemy ORM does it, over our own tables.

It stands by itself: it reads the SQLite file of a running controld and imports nothing of ours.
"""

import hashlib
import json
import sys
import time
from collections.abc import AsyncIterator
from typing import Annotated, Any

import uvicorn
from fastapi import Depends, FastAPI, HTTPException
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from pydantic import BaseModel
from sqlalchemy import ForeignKey, Text, TypeDecorator, select
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, joinedload, mapped_column, relationship


class Json(TypeDecorator[Any]):
    """Plain data as text."""

    impl = Text
    cache_ok = True

    def process_result_value(self, value: Any, dialect: Any) -> Any:
        return None if value is None else json.loads(value)


class Base(DeclarativeBase):
    pass


class Membership(Base):
    __tablename__ = "memberships"
    project_id: Mapped[str] = mapped_column(primary_key=True)
    user_id: Mapped[str] = mapped_column(ForeignKey("users.id"), primary_key=True)
    role: Mapped[str]


class User(Base):
    __tablename__ = "users"
    id: Mapped[str] = mapped_column(primary_key=True)
    username: Mapped[str]
    is_super_admin: Mapped[bool]
    memberships: Mapped[list[Membership]] = relationship()


class ApiToken(Base):
    __tablename__ = "api_tokens"
    id: Mapped[str] = mapped_column(primary_key=True)
    user_id: Mapped[str] = mapped_column(ForeignKey("users.id"))
    token_sha256: Mapped[str]
    expires_at: Mapped[int | None]
    user: Mapped[User] = relationship()


class Hostname(Base):
    __tablename__ = "hostnames"
    id: Mapped[str] = mapped_column(primary_key=True)
    service_id: Mapped[str] = mapped_column(ForeignKey("services.id"))
    hostname: Mapped[str]
    assigned: Mapped[bool]


class Service(Base):
    __tablename__ = "services"
    id: Mapped[str] = mapped_column(primary_key=True)
    project_id: Mapped[str]
    name: Mapped[str]
    source: Mapped[Any] = mapped_column(Json)
    internal_port: Mapped[int]
    health_path: Mapped[str]
    health_timeout_seconds: Mapped[int]
    cpu_millis: Mapped[int | None]
    memory_bytes: Mapped[int | None]
    env: Mapped[Any] = mapped_column(Json)
    domains: Mapped[Any] = mapped_column(Json)
    tls_enabled: Mapped[bool]
    autoscale: Mapped[Any] = mapped_column(Json)
    endpoints: Mapped[Any] = mapped_column(Json)
    replicas: Mapped[int]
    placement: Mapped[Any] = mapped_column(Json)
    hostnames: Mapped[list[Hostname]] = relationship()


class HealthCheckOut(BaseModel):
    path: str
    timeout_seconds: int


class LimitsOut(BaseModel):
    cpu_millis: int
    memory_bytes: int


class SourceOut(BaseModel):
    type: str
    image: str
    credential: str | None = None
    registry_id: str | None
    image_ref: str | None


class ServiceOut(BaseModel):
    id: str
    project_id: str
    name: str
    domains: list[str]
    source: SourceOut
    internal_port: int
    health_check: HealthCheckOut
    resource_limits: LimitsOut | None
    env: list[tuple[str, str]]
    tls_enabled: bool
    autoscale: dict[str, Any] | None
    endpoints: list[dict[str, Any]]
    assigned_hostname: str | None
    replicas: int
    placement: dict[str, Any] | None


def make_app(url: str) -> FastAPI:
    """The application over the database."""
    sessions = async_sessionmaker(create_async_engine(url, pool_size=32), expire_on_commit=False)
    app = FastAPI()
    bearer = HTTPBearer()

    async def open_session() -> AsyncIterator[AsyncSession]:
        async with sessions() as session:
            yield session

    async def recognise(
        credentials: Annotated[HTTPAuthorizationCredentials, Depends(bearer)],
        session: Annotated[AsyncSession, Depends(open_session)],
    ) -> User:
        token_sha256 = hashlib.sha256(credentials.credentials.encode()).hexdigest()
        statement = (
            select(ApiToken)
            .where(ApiToken.token_sha256 == token_sha256)
            .options(joinedload(ApiToken.user).joinedload(User.memberships))
        )
        token = (await session.scalars(statement)).unique().one_or_none()
        if token is None or (token.expires_at is not None and token.expires_at <= time.time() * 1e6):
            raise HTTPException(401)
        return token.user

    @app.get("/v1/services/{service_id}")
    async def get_service(
        service_id: str,
        user: Annotated[User, Depends(recognise)],
        session: Annotated[AsyncSession, Depends(open_session)],
    ) -> ServiceOut:
        service = await session.get(Service, service_id, options=[joinedload(Service.hostnames)])
        roles = {membership.project_id: membership.role for membership in user.memberships}
        if service is None or not (user.is_super_admin or service.project_id in roles):
            raise HTTPException(404)
        return ServiceOut(
            id=service.id,
            project_id=service.project_id,
            name=service.name,
            domains=service.domains,
            source=SourceOut.model_validate(service.source),
            internal_port=service.internal_port,
            health_check=HealthCheckOut(path=service.health_path, timeout_seconds=service.health_timeout_seconds),
            resource_limits=None
            if service.cpu_millis is None or service.memory_bytes is None
            else LimitsOut(cpu_millis=service.cpu_millis, memory_bytes=service.memory_bytes),
            env=service.env,
            tls_enabled=service.tls_enabled,
            autoscale=service.autoscale,
            endpoints=service.endpoints,
            assigned_hostname=next((each.hostname for each in service.hostnames if each.assigned), None),
            replicas=service.replicas,
            placement=service.placement,
        )

    return app


if __name__ == "__main__":
    uvicorn.run(
        make_app(sys.argv[1]),
        host="127.0.0.1",
        port=int(sys.argv[2]),
        loop="uvloop",
        http="httptools",
        access_log=False,
        log_level="warning",
    )
