// A private network, and tokens that are not of Entra.
using '../../../infra/main.bicep'

param environmentName = 'prod'
param location = 'westeurope'
param audience = 'api://11111111-2222-3333-4444-555555555555'
param authority = 'https://sign-in.example.org'
param privateNetwork = true
param outboundInternet = false
param addressPrefix = '10.9.0.0/20'
